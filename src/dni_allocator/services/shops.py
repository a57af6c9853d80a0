"""Which vendors there are, and which of them numbers can be bought from here."""

from collections.abc import Mapping

from dni_allocator.domain.errors import VendorNotConfigured, VendorUnknown
from dni_allocator.domain.shop import Shop


class Shops:
    """The configured shops by name; `missing` says of the others what they lack."""

    def __init__(self, shops: Mapping[str, Shop], *, missing: Mapping[str, str]) -> None:
        self._shops = dict(shops)
        self._missing = dict(missing)

    def get(self, name: str) -> Shop:
        """One shop. Raises `VendorUnknown`, `VendorNotConfigured` with what is missing."""
        shop = self._shops.get(name)
        if shop is not None:
            return shop
        if name in self._missing:
            raise VendorNotConfigured(f"{name}: {self._missing[name]}")
        message = f"Vendors are {', '.join(sorted({*self._shops, *self._missing}))}."
        raise VendorUnknown(message)

    def names(self) -> Mapping[str, str]:
        """Every vendor, with what it lacks; empty: numbers can be bought."""
        found = dict.fromkeys(self._shops, "") | self._missing
        return dict(sorted(found.items()))

    async def close(self) -> None:
        """Close every connection to a vendor. Safe to repeat."""
        for shop in self._shops.values():
            await shop.close()
