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
    assert all("the set of pans" in text for text in train_sentences("put the set of pans on the stove"))


def test_benchmark_paraphrase_comes_first_unless_it_is_known():
    sentence = "put the bowl on the stove"
    assert held_out_sentences(sentence, ("place it hot",))[0] == "place it hot"
    for known in (sentence, train_sentences(sentence)[0]):
        assert known not in held_out_sentences(sentence, (known,))
