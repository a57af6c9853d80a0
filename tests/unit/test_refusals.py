"""What error replies mean, also as the oldest server that works words them."""

import pytest

from dni_allocator.domain.errors import ScriptContractError
from dni_allocator.store.refusals import Refused, refusal

_OF_REDIS_6 = (
    "ERR Error running script (call to f_0a9f75e991483d02789696e4c90d26c10395863e): "
    "@user_script:1: @user_script: 1: -"
)


@pytest.mark.parametrize(
    "told",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "MISCONF Errors writing to the AOF file: No space left on device",
    ],
)
def test_a_refusal_is_one_also_inside_of_a_script(told: str) -> None:
    """Redis 6.2 wraps what a command met in an error of its own; redis-py drops the first word."""
    word = told.partition(" ")[0]
    wrapped = f"{_OF_REDIS_6}{told}"

    found = [refusal(each) for each in (told, wrapped, wrapped.removeprefix("ERR "))]

    assert [type(each) for each in found] == [Refused] * 3
    assert {each.word for each in found if isinstance(each, Refused)} == {word}


def test_a_mistake_in_a_script_is_ours() -> None:
    """It passes neither by itself nor by an operator's hand."""
    mistake = f"{_OF_REDIS_6.removesuffix('-')}attempt to index a nil value"

    assert isinstance(refusal(mistake), ScriptContractError)
