"""Desk: sentences in splits that do not mix, words that decide, held-out combinations of words that are known."""

import itertools

import pytest

from embodia.core.errors import UnknownNameError
from embodia.envs.desk.grammar import COLOURS, SHAPES, Request, held_out, sentences, uncovered

WAYS = ("", "by-left", "by-right", "by-over")
SPLITS = ("canonical", "train", "held_out")


def examples():
    """One or more requests of every verb."""
    for colour, shape in itertools.product(COLOURS, SHAPES):
        yield Request(verb="reach", colour=colour, shape=shape)
        for side in ("left", "right", "away", "near", "mark"):
            yield Request(verb="push", colour=colour, shape=shape, place=side)
        for place in ("bowl", "bin", "mark"):
            yield Request(verb="place", colour=colour, shape=shape, place=place)
        yield Request(verb="stow", colour=colour, shape=shape, place="drawer")
        yield Request(verb="recall-place", colour=colour, shape=shape)
    for one, two in itertools.permutations(COLOURS, 2):
        yield Request(verb="stack", colour=one, shape="cube", place=f"{two}-cube")
        yield Request(verb="insert", colour=one, shape="peg", place=f"{two}-socket")
        yield Request(verb="pour", colour=one, shape="cup", place=f"{two}-bowl")
        yield Request(verb="sort-colour", colour=f"{one}-{two}")
        yield Request(verb="sort-shape", colour=f"{one}-{two}")
    for one, two in itertools.product(COLOURS, COLOURS):
        yield Request(verb="hand-over", colour=one, shape="bar", place=f"{two}-bin")
    for colour in COLOURS:
        yield Request(verb="drive", colour=colour, shape="mark")
        yield Request(verb="drive-press", colour=colour, shape="button")
        yield Request(verb="fetch", colour=colour, shape="cube")
        yield Request(verb="open", colour=colour, shape="drawer")
        yield Request(verb="close", colour=colour, shape="drawer")
        for manner in ("", "gently", "hard"):
            yield Request(verb="press", colour=colour, shape="button", manner=manner)
        yield Request(verb="turn-on", colour=colour, shape="switch")
        yield Request(verb="turn-off", colour=colour, shape="switch")
        for way, verb in itertools.product(WAYS, ("detour-reach", "detour-carry")):
            yield Request(verb=verb, colour=colour, shape="cube", manner=way)
    for verb in ("recall-lit", "recall-unlit", "recall-order", "recall-reversed"):
        yield Request(verb=verb)


ALL = tuple(examples())


def test_every_request_has_one_canonical_six_trained_and_three_held_out_sentences():
    for request in ALL:
        counts = [len(set(sentences(request, split))) for split in SPLITS]
        assert counts[0] == 1 and counts[1] >= 6 and counts[2] >= 3, request


def test_sentences_read_as_sentences():
    for request in ALL:
        for split in SPLITS:
            for text in sentences(request, split):
                assert text[0].isupper() and text[-1] == "." and text.count("  ") == 0, text
                assert "{" not in text and not text.endswith(" ."), text


def test_no_sentence_has_two_meanings_and_none_is_in_two_splits():
    seen = {}
    for request in ALL:
        for split in SPLITS:
            for text in sentences(request, split):
                key = text.lower()
                assert seen.setdefault(key, (request, split)) == (request, split), text


def test_every_colour_that_decides_is_said():
    for request in ALL:
        colours = [word for word in (*request.colour.split("-"), request.place.split("-")[0]) if word in COLOURS]
        for split in SPLITS:
            for text in sentences(request, split):
                assert all(colour in text.lower() for colour in colours), (request, text)


def test_sides_are_said():
    for side, word in (("left", "left"), ("right", "right"), ("away", "away"), ("near", "towards")):
        request = Request(verb="push", colour="red", shape="cube", place=side)
        assert all(word in text.lower() for split in SPLITS for text in sentences(request, split))


def test_held_out_nouns_are_never_trained():
    trained = " ".join(text.lower() for r in ALL for split in SPLITS[:2] for text in sentences(r, split)).split()
    words = {word.strip(".,;:?") for word in trained}
    for noun in ("box", "marble", "tube", "rod", "mug", "basin", "compartment", "knob", "toggle", "nudge", "decant"):
        assert noun not in words


def test_manner_changes_every_sentence():
    plain, soft, hard = (
        Request(verb="press", colour="red", shape="button", manner=manner) for manner in ("", "gently", "hard")
    )
    said = [{text for split in SPLITS for text in sentences(request, split)} for request in (plain, soft, hard)]
    assert not said[0] & said[1] and not said[1] & said[2] and not said[0] & said[2]


def test_name_joins_what_is_given():
    assert Request(verb="push", colour="red", shape="cube", place="left").name == "push/red-cube/left"
    assert Request(verb="press", colour="blue", shape="button", manner="hard").name == "press/blue-button/hard"
    assert Request(verb="recall-lit").name == "recall-lit"
    assert len({request.name for request in ALL}) == len(ALL)


def test_held_out_is_a_pure_function_with_a_fixed_answer():
    answers = [held_out("push", colour, "cube", "left") for colour in COLOURS]
    assert answers == [held_out("push", colour, "cube", "left") for colour in COLOURS]
    assert not any(held_out("press", colour, "button", "") for colour in COLOURS)


def test_about_one_combination_in_five_is_held_out():
    several = [request for request in ALL if request.verb in ("push", "place", "stack", "reach")]
    share = sum(request.held_out for request in several) / len(several)
    assert 0.12 < share < 0.28


@pytest.mark.parametrize("verb", ["reach", "push", "place", "stack", "insert", "pour"])
def test_every_word_of_a_verb_is_trained_in_some_combination(verb):
    assert uncovered(request for request in ALL if request.verb == verb) == ()


def test_uncovered_finds_a_word_that_only_held_out_combinations_have():
    lonely = next(r for r in ALL if r.verb == "push" and r.held_out)
    assert f"push {lonely.colour}" in uncovered([lonely])


def test_unknown_verb_is_an_error():
    with pytest.raises(UnknownNameError):
        sentences(Request(verb="pushh", colour="red", shape="cube", place="left"))


@pytest.mark.parametrize("split", SPLITS)
def test_a_drawer_with_a_colour_is_put_into_not_beside(split):
    said = sentences(Request(verb="stow", colour="red", shape="cube", place="blue-drawer"), split)
    assert said and all("in the blue " in sentence for sentence in said)


def test_a_way_past_a_wall_is_said_in_every_sentence_and_the_open_one_says_none():
    asked = {way: Request(verb="detour-reach", colour="green", shape="cube", manner=way) for way in WAYS}
    said = {way: [text for split in SPLITS for text in sentences(asked[way], split)] for way in WAYS}
    for way in WAYS[1:]:
        plain = [text.removesuffix(".").lower() for text in said[""]]
        assert all(long.lower().startswith(short) for long, short in zip(said[way], plain, strict=True))
        assert not set(said[way]) & {text for other in WAYS if other != way for text in said[other]}
    assert not any(word in text.lower() for text in said[""] for word in ("left", "right", " over "))


def test_ways_make_combinations_some_of_which_are_held_out():
    requests = [r for r in ALL if r.verb.startswith("detour")]
    held = [r for r in requests if r.held_out]
    assert 0.1 < len(held) / len(requests) < 0.4 and uncovered(requests) == ()
    assert {bool(r.manner) for r in held} == {True, False}
    forces = [Request(verb="press", colour="red", shape="button", manner=m) for m in ("", "gently", "hard")]
    assert not any(request.held_out for request in forces)


def test_a_word_that_only_held_out_combinations_use_is_named():
    held = next(r for r in ALL if r.held_out and r.verb == "detour-reach" and r.manner)
    assert f"detour-reach {held.manner}" in uncovered([held])
    trained = [r for r in ALL if r.verb == held.verb and not r.held_out]
    assert uncovered([held, *trained]) == ()
