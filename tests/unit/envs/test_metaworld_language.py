import re
from collections import Counter

from embodia.envs.adapters._metaworld_language import SENTENCES


def every():
    for task, item in SENTENCES.items():
        for split in ("canonical", "train", "held_out"):
            for sentence in item.of(split):
                yield task, split, sentence


def test_numbers():
    assert len(SENTENCES) == 50
    for item in SENTENCES.values():
        assert (len(item.canonical), len(item.train), len(item.held_out)) == (1, 8, 3)


def test_no_sentence_is_said_twice():
    counts = Counter(sentence.lower() for _, _, sentence in every())
    assert [sentence for sentence, count in counts.items() if count > 1] == []


def test_sentences_are_sentences():
    for task, _, sentence in every():
        assert re.fullmatch(r"[A-Z][A-Za-z',;\- ]+\.", sentence), (task, sentence)
        assert 2 <= len(sentence.split()) <= 16, (task, sentence)
        assert "  " not in sentence


def test_no_sentence_names_the_colour_of_a_mark():
    for task, _, sentence in every():
        for word in ("green", "blue", "sphere"):
            assert word not in sentence.lower(), (task, sentence)


def test_opposites_are_not_confused():
    for task, _, sentence in every():
        text = f" {sentence.lower().rstrip('.')} "
        if task in ("door-close", "drawer-close", "window-close"):
            assert " close" in text or " shut" in text or "clos" in text or "in " in text or "back" in text, sentence
        if task == "faucet-open":
            assert " off " not in text and "clos" not in text and " clockwise" not in text, sentence
        if task == "faucet-close":
            assert " on " not in text and " open" not in text and "counterclockwise" not in text, sentence
        if task in ("door-unlock",):
            assert " lock the" not in text and "locked position" not in text.replace("unlocked", ""), sentence
