"""A sequence that Hypothesis found in the model of two tabs."""

from tests.support.two_tabs import TwoTabs


def test_tokens__a_write_in_the_second_of_the_token() -> None:
    """A write whose token would be equal to the carried one survives a concurrent answer that removes that cookie."""
    tabs = TwoTabs()
    tabs.begin(fallback=False, ahead=0.0)
    try:
        tabs.request_begins(number=0, then="write", unsafe=False, ends=True)
        tabs.servers_go_on(alias="replica", answers=False, everything=False, seconds=0.0)
        tabs.request_begins(number=1, then="write", unsafe=False, ends=True)
        for _ in range(2):
            tabs.request_begins(number=1, then="write", unsafe=False, ends=False)
        tabs.worker_learns(number=1, everything=True)
        tabs.request_reads(place=0, breaks=False, meanwhile=True)
        tabs.request_writes(place=0)
        for _ in range(2):
            tabs.request_ends(place=0, arrives=False)
        for _ in range(2):
            tabs.response_arrives(place=0)
        tabs.request_begins(number=0, then="read", unsafe=False, ends=False)
    finally:
        tabs.teardown()
