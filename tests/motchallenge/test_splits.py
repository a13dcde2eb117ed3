"""Which frames train, which are tracked, and that no film does both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clmot.errors import InputError
from clmot.motchallenge.sequence import ManifestEntry
from clmot.motchallenge.splits import (
    FrameRange,
    Split,
    check_split,
    film,
    home_benchmark,
    without_detector,
)

MOT17 = {"02": 600, "04": 1050, "05": 837, "09": 525, "10": 654, "11": 900, "13": 750}
VALIDATION_STARTS = {"02": 302, "04": 527, "05": 420, "09": 264, "10": 329, "11": 452, "13": 377}
MOT15 = {"Venice-2": 600, "ADL-Rundle-6": 525, "ADL-Rundle-8": 654, "ETH-Pedcross2": 837, "TUD-Campus": 71}


def entries(lengths: dict[str, int], subset: str = "train", prefix: str = "") -> list[ManifestEntry]:
    return [ManifestEntry(prefix + name, subset, n, 640, 480, 25.0) for name, n in lengths.items()]


def entry(name: str, length: int, subset: str = "train") -> ManifestEntry:
    return entries({name: length}, subset)[0]


HALF, FULL = Split("half"), Split("full")
BOTH = {"MOT15": entries(MOT15), "MOT17": entries(MOT17, prefix="MOT17-")}


class TestRanges:
    @pytest.mark.parametrize("number", sorted(MOT17))
    def test_half_starts_where_everybody_starts(self, number: str) -> None:
        name, length = f"MOT17-{number}", MOT17[number]
        start = VALIDATION_STARTS[number]
        assert HALF.tracking_range(entry(name, length)) == FrameRange(start, length)
        assert HALF.training_range(entry(name, length)) == FrameRange(1, start - 1)

    @given(st.integers(1, 5000))
    def test_halves_meet_and_never_overlap(self, length: int) -> None:
        training = HALF.training_range(entry("x", length))
        tracking = HALF.tracking_range(entry("x", length))
        assert training is not None
        covered = list(training) + (list(tracking) if tracking else [])
        assert covered == list(range(1, length + 1))

    def test_half_ignores_the_test_set(self) -> None:
        assert HALF.training_range(entry("x", 10, "test")) is None
        assert HALF.tracking_range(entry("x", 10, "test")) is None

    def test_sequence(self) -> None:
        split = Split("sequence", ("MOT17-09-FRCNN", "TUD-Campus"))
        assert split.training_range(entry("MOT17-09", 525, "train")) is None
        assert split.tracking_range(entry("MOT17-09", 525, "train")) == FrameRange(1, 525)
        assert split.training_range(entry("MOT17-02", 600, "train")) == FrameRange(1, 600)
        assert split.tracking_range(entry("MOT17-02", 600, "train")) is None
        assert split.tracking_range(entry("TUD-Campus", 71, "test")) is None

    def test_full(self) -> None:
        assert FULL.training_range(entry("x", 9, "train")) == FrameRange(1, 9)
        assert FULL.tracking_range(entry("x", 9, "train")) is None
        assert FULL.training_range(entry("x", 9, "test")) is None
        assert FULL.tracking_range(entry("x", 9, "test")) == FrameRange(1, 9)

    def test_frame_range(self) -> None:
        frames = FrameRange(3, 5)
        assert (len(frames), list(frames)) == (3, [3, 4, 5])
        for first, last in ((0, 3), (4, 3)):
            with pytest.raises(ValueError, match="not a range"):
                FrameRange(first, last)


class TestNames:
    def test_detectors(self) -> None:
        assert without_detector("MOT17-02-FRCNN") == "MOT17-02"
        assert without_detector("SYN17-02-SDP") == "SYN17-02"
        assert without_detector("MOT17-02-YOLO") == "MOT17-02-YOLO"
        assert without_detector("Venice-2") == "Venice-2"

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("Venice-2", "MOT17-02"),
            ("ADL-Rundle-6", "MOT17-09-DPM"),
            ("ADL-Rundle-8", "MOT17-10"),
            ("ETH-Pedcross2", "MOT17-05-SDP"),
            ("MOT16-11", "MOT17-11"),
            ("Venice-2", "MOT16-02"),
            ("street", "street"),
        ],
    )
    def test_same_film(self, one: str, other: str) -> None:
        assert film(one) == film(other)

    def test_other_films(self) -> None:
        names = ["Venice-1", "ADL-Rundle-1", "MOT17-02", "MOT20-02", "MOT17-05", "ETH-Bahnhof"]
        assert len({film(name) for name in names}) == len(names)

    def test_home(self) -> None:
        assert home_benchmark("MOT20-05") == "MOT20"
        assert home_benchmark("MOT17-02-DPM") == "MOT17"
        assert home_benchmark("ADL-Rundle-6") == "MOT15"
        assert home_benchmark("SYN15-Plaza") == "MOT15"
        assert home_benchmark("my-street") is None


class TestLeaks:
    def test_halves_of_one_film_in_two_benchmarks_are_cut_alike(self) -> None:
        check_split(BOTH, HALF)

    def test_half_with_other_lengths(self) -> None:
        sequences = {"MOT15": entries({"ETH-Pedcross2": 840}), "MOT17": entries({"MOT17-05": 837})}
        with pytest.raises(InputError) as caught:
            check_split(sequences, HALF)
        assert "MOT15's ETH-Pedcross2 (840 frames)" in str(caught.value)
        assert "MOT17's MOT17-05 (837 frames)" in str(caught.value)

    def test_half_with_one_name_in_two_benchmarks(self) -> None:
        sequences = {"MOT15": entries({"street": 50}), "MOT20": entries({"street": 60})}
        with pytest.raises(InputError, match=r"MOT20's street .* and MOT15's street .* are the same film"):
            check_split(sequences, HALF)

    @pytest.mark.parametrize(("held_out", "twin"), [("MOT17-02", "Venice-2"), ("ADL-Rundle-6", "MOT17-09")])
    def test_held_out_film_trains_under_another_name(self, held_out: str, twin: str) -> None:
        with pytest.raises(InputError, match=rf"{twin} would train .*{held_out}.* name both"):
            check_split(BOTH, Split("sequence", (held_out,)))
        check_split(BOTH, Split("sequence", (held_out, twin)))

    def test_held_out_copy(self) -> None:
        check_split(BOTH, Split("sequence", ("MOT17-02-FRCNN", "Venice-2")))

    def test_leak_is_seen_from_one_benchmark_alone(self) -> None:
        with pytest.raises(InputError, match=r"MOT15's Venice-2 would train .* MOT17-02"):
            check_split({"MOT15": BOTH["MOT15"]}, Split("sequence", ("MOT17-02",)), benchmarks=("MOT15", "MOT17"))

    def test_full(self) -> None:
        sequences = {"MOT15": entries(MOT15), "MOT17": entries({"MOT17-05": 837}, "test")}
        with pytest.raises(
            InputError, match=r"MOT15's ETH-Pedcross2 would train .* MOT17's MOT17-05, which is tracked"
        ):
            check_split(sequences, FULL)
        tests = entries({"Venice-1": 450}, "test")
        check_split({"MOT15": [*entries(MOT15), *tests], "MOT17": entries({"MOT17-01": 450}, "test")}, FULL)


class TestNamesInParams:
    def test_unknown_with_the_nearest(self) -> None:
        with pytest.raises(InputError, match=r"'MOT17-3', .*train set of MOT17; did you mean 'MOT17-13'\?"):
            check_split(BOTH, Split("sequence", ("MOT17-3",)))
        with pytest.raises(
            InputError, match="'street', which is not in the train set of MOT15, MOT17; there are Venice-2"
        ):
            check_split(BOTH, Split("sequence", ("street",)))

    def test_test_sequence(self) -> None:
        sequences = {"MOT17": [*BOTH["MOT17"], *entries({"MOT17-01": 450}, "test")]}
        with pytest.raises(InputError, match="'MOT17-01', a test sequence"):
            check_split(sequences, Split("sequence", ("MOT17-01",)))

    def test_of_a_benchmark_that_takes_no_part(self) -> None:
        with pytest.raises(InputError, match=r"'MOT20-01', a sequence of MOT20: add MOT20 to 'data\.benchmarks'"):
            check_split(BOTH, Split("sequence", ("MOT20-01",)))

    def test_of_a_benchmark_that_is_elsewhere(self) -> None:
        only = {"MOT17": BOTH["MOT17"]}
        check_split(only, Split("sequence", ("MOT20-01",)), benchmarks=("MOT17", "MOT20"))
        check_split(only, Split("sequence", ("my-street",)), benchmarks=("MOT17", "MOT20"))  # may be in MOT20's archive
        with pytest.raises(InputError, match="'MOT17-99'"):
            check_split(only, Split("sequence", ("MOT17-99",)), benchmarks=("MOT17", "MOT20"))

    def test_nothing_left_to_train_on(self) -> None:
        only = {"MOT20": entries({"MOT20-01": 429})}
        with pytest.raises(InputError, match="leaves no sequence to train on"):
            check_split(only, Split("sequence", ("MOT20-01",)))
        check_split(only, Split("sequence", ("MOT20-01",)), benchmarks=("MOT17", "MOT20"))


def test_itself_trains_on_what_it_tracks():
    """That is what it is for, whatever the film: two names of one film are no leak, and the test set may learn too."""
    sequences = {
        "MOT15": entries({"Venice-2": 600}),
        "MOT17": entries({"MOT17-02": 600}) + entries({"MOT17-01": 450}, "test"),
    }
    itself = Split("itself")
    check_split(sequences, itself)
    for name, length, subset in (("MOT17-02", 600, "train"), ("MOT17-01", 450, "test")):
        assert itself.training_range(entry(name, length, subset)) == itself.tracking_range(entry(name, length, subset))
        assert len(itself.training_range(entry(name, length, subset))) == length
