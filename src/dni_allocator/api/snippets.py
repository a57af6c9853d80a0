"""The integration code of a pool, for each place a site may be made in.

Owns the wording of the snippets. Must not know where a pool's settings come from.
"""

from html import escape
from typing import Final

from dni_allocator.api.schemas import IntegrationOut
from dni_allocator.tag.bundle import TagConfig, load, settings

_HIDING: Final = (
    "<style>@keyframes dni{to{visibility:visible}}"
    "html:not([data-dni]) [data-dni-hide]{visibility:hidden;animation:dni 0s 1s forwards}</style>"
)

_REACT: Final = """\
import { useEffect } from "react";

// Once, near the root. data-wait: nothing is written before React has taken over the page.
export function CallTracking() {
  useEffect(() => {
    window.dni = window.dni || function () { (dni.q = dni.q || []).push(arguments); };
    window.dni("swap");
    if (document.querySelector('script[src="%(url)s"]')) return;
    const script = document.createElement("script");
    script.async = true;
    script.dataset.wait = "";
    script.src = "%(url)s";
    document.head.append(script);
  }, []);
  return null;
}
"""

_WORDPRESS: Final = """\
add_action('wp_head', function () {
    echo '<script async src="%(url)s"></script>';
});
"""


def snippets(config: TagConfig) -> IntegrationOut:
    """Write the code for one pool."""
    tag = load()
    url = f"{config.origin}/tag.js?key={config.key}"
    html = f'<script async src="{escape(url)}"></script>'
    amp = "\n".join(
        f'<amp-call-tracking config="{escape(config.origin)}/tag/amp.json?key={escape(config.key)}'
        f'&amp;destination={each.e164[1:]}&amp;client=CLIENT_ID(dni)">'
        f'<a href="tel:{each.e164}">{each.e164}</a></amp-call-tracking>'
        for each in config.destinations
    )
    return IntegrationOut(
        html=html,
        pinned_html=(
            f'<script async src="{escape(config.origin)}/tag/{tag.version}.js" '
            f'integrity="{tag.integrity}" crossorigin="anonymous" '
            f'data-config="{escape(settings(config, pinned=True))}"></script>'
        ),
        tag_manager=html,
        wordpress=_WORDPRESS % {"url": url},
        react=_REACT % {"url": url},
        amp=amp,
        hiding_css=_HIDING,
        version=tag.version,
        integrity=tag.integrity,
    )
