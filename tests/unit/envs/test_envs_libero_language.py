import pytest

from embodia.envs.adapters._libero_language import held_out_sentences, train_sentences

SENTENCES = (
    "turn on the stove",
    "put the wine bottle on top of the cabinet",
    "pick up the black bowl next to the ramekin and place it on the plate",
    "open the top drawer of the cabinet and put the bowl in it",
    "slide open the top drawer and place the bowl in it",
    "push the plate to the front of the stove",
    "put both moka pots on the stove",
    "wave at the camera",
)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_splits_share_no_sentence(sentence):
    train, held_out = train_sentences(sentence), held_out_sentences(sentence)
    assert len(train) >= 2 and len(held_out) >= 2
    everything = [sentence, *train, *held_out]
    assert len(set(everything)) == len(everything)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_nouns_and_places_survive(sentence):
    nouns = {"stove", "bottle", "cabinet", "bowl", "ramekin", "plate", "drawer", "pots", "camera", "top", "front"}
    for other in (*train_sentences(sentence), *held_out_sentences(sentence)):
        assert nouns & set(other.split()) == nouns & set(sentence.split()), other


def test_every_clause_gets_another_verb():
    train = train_sentences("pick up the bowl and place it on the plate")
    assert "grab the bowl and put it on the plate" in train
    held_out = held_out_sentences("open the drawer and turn off the stove")
    assert "open up the drawer and power off the stove" in held_out


def test_verbs_inside_a_noun_phrase_stay():
    assert all("set of pans" in text for text in train_sentences("put the set of pans on the stove"))


def test_small_words_are_left_out_and_next_to_has_another_word_in_each_split():
    sentence = "pick the akita black bowl next to the plate and place it on the stove"
    train, held_out = train_sentences(sentence), held_out_sentences(sentence)
    assert "grab black bowl near plate and put it on stove" in train
    assert "lift black bowl beside plate and deposit it on stove" in held_out
    assert not any("beside" in text for text in train) and not any("near" in text for text in held_out)


def test_the_benchmarks_paraphrase_comes_first_and_is_never_trained_on():
    sentence = "put the bowl on the stove"
    assert held_out_sentences(sentence, ("place it hot",))[0] == "place it hot"
    known = train_sentences(sentence)[0]
    assert held_out_sentences(sentence, (known,))[0] == known and known not in train_sentences(sentence, (known,))
    assert sentence not in held_out_sentences(sentence, (sentence,))
