"""Rules: which one decides, and what cannot be."""

import pytest

from s3d.config import load
from s3d.errors import ConfigurationError
from s3d.policy.rules import Rule, RuleError, Rules
from s3d.policy.subjects import Written
from s3d.policy.urgency import ORDINARY, Urgency


def test_the_first_rule_that_says_something_decides():
    """The order of the file is the order of precedence; a rule that says nothing about it is passed over."""
    rules = Rules(
        [
            Rule(match="photos/raw/*", fresh_seconds=5),
            Rule(match="photos", shared=True),
            Rule(match="photos/*", fresh_seconds="forever"),
            Rule(match="*", fresh_seconds=60),
        ]
    )
    assert rules.fresh_ms("photos", "raw/1") == 5000
    assert rules.fresh_ms("photos", "k") == float("inf")
    assert rules.fresh_ms("other", "k") == 60_000
    assert (rules.is_shared("photos"), rules.is_shared("other")) == (True, False)
    assert (Rules().fresh_ms("b", "k"), Rules().is_shared("b")) == (0, False)


def test_each_part_of_urgency_is_said_by_the_first_rule_that_says_it():
    """Priority, deadline and order come from different rules; where no rule says anything it is ordinary."""
    rules = Rules(
        [
            Rule(match="b/a*", deadline_seconds=5),
            Rule(match="b/alarm*", priority="urgent", deadline_seconds=9),
            Rule(match="b/*", priority="bulk", order="newest"),
        ]
    )
    assert rules.urgency("b", "alarm1") == Urgency("urgent", newest=True, deadline_seconds=5)
    assert rules.urgency("b", "video") == Urgency("bulk", newest=True)
    assert rules.urgency("c", "alarm") is ORDINARY
    assert rules.lowest_priority == "bulk"
    assert not Rules([Rule(match="b", shared=True)]).speak_of_urgency


def test_urgency_is_said_by_name_only():
    """The backlog is classified without reading its records."""
    with pytest.raises(RuleError) as caught:
        Rules([Rule(match="b[tag:class=alert]", deadline_seconds=5)])
    assert caught.value.field == "deadline_seconds"


def test_a_bucket_is_shared_as_a_whole():
    """Listings and DeleteBucket are about all of it."""
    with pytest.raises(RuleError, match="as a whole"):
        Rules([Rule(match="photos/raw/*", shared=True)])


def test_freshness_does_not_depend_on_what_it_is_asked_for():
    """Tags and headers come with the answer."""
    with pytest.raises(RuleError, match="cannot depend"):
        Rules([Rule(match="photos[tag:a]", fresh_seconds=1)])


def test_a_share_of_the_cap_may_depend_on_all_that_a_write_carries():
    """Name, headers, tags and metadata; the first rule that says something decides, also where it says "all of it"."""
    rules = Rules(
        [
            Rule(match="*[tag:class=alert]", refuse_above=1.0),
            Rule(match="video*", refuse_above=0.7),
            Rule(match="*[hdr:content-type='video/*'][md:camera!=7]", refuse_above=0.5),
            Rule(match="*[hdr:content-length>1000]", refuse_above=0.25),
        ]
    )

    def share(bucket, size=1, **given):
        return rules.refuse_above(Written(bucket, "k", given, size))

    assert share("video", Tagging="class=alert&a=b") == 1.0
    assert share("video") == 0.7
    assert share("b", ContentType="video/mp4") == 0.5
    assert share("b", ContentType="video/mp4", Metadata={"Camera": "7"}) == 1.0
    assert (share("b", 1001), share("b", None)) == (0.25, 1.0)
    assert (Rules().refusals, len(rules.refusals)) == ([], 4)


def settings_of(tmp_path, text):
    path = tmp_path / "s3d.toml"
    path.write_text(text)
    return load({}, {"HOME": "/h"}, str(path))


def test_rules_are_read_from_the_file_in_their_order(tmp_path):
    """Beside the sections."""
    found = settings_of(
        tmp_path,
        '[log]\nlevel = "info"\n[[rule]]\nmatch = "a"\nshared = true\n[[rule]]\nmatch = "b/*"\nfresh_seconds = 1\n',
    )
    assert [rule.match for rule in found.rules] == ["a", "b/*"]


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ('rule = "x"', "rule is a list of tables", "[[rule]]"),
        ('[rule]\nmatch = "a"', "rule is a list of tables", "[[rule]]"),
        ("[[rule]]\nshared = true", "rule 1: object missing required field `match`", "match ="),
        ('[[rule]]\nmatch = "a"\n[[rule]]\nmatch = "b"\nfresh = 1', "rule 2: unknown setting fresh", "fresh_seconds"),
        ('[[rule]]\nmatch = "a"\nnothing_like_it = 1', "unknown setting", "a rule has match, shared"),
        ('[[rule]]\nmatch = "a["', "rule 1: the filter 'a[' is not understood at its end", "tag:"),
        ('[[rule]]\nmatch = "a"\nfresh_seconds = -1', "rule 1:", "match ="),
        ('[[rule]]\nmatch = "a"\nfresh_seconds = "always"', "rule 1:", "match ="),
        ('[[rule]]\nmatch = "a"\nshared = false', "rule 1:", "match ="),
        ('[[rule]]\nmatch = "a/b"\nshared = true', "rule 1: shared: a bucket is shared as a whole", 'match = "a"'),
    ],
)
def test_a_rule_that_cannot_be_stops_the_start(tmp_path, text, says, hint):
    """Exit code 2, the rule's number, and what to write instead."""
    with pytest.raises(ConfigurationError) as refused:
        settings_of(tmp_path, text)
    assert says in refused.value.message
    assert hint in refused.value.hint
