"""Rows of MOTChallenge are judged the same for those who stop at the first fault and those who collect all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clmot.errors import InputError
from clmot.motchallenge.annotations import (
    DETECTIONS,
    GROUND_TRUTH,
    RESULTS,
    RowKind,
    judge_rows,
    parse_ground_truth,
    parse_results,
)
from clmot.problems import Problem, refuse

GOOD = {GROUND_TRUTH: "1,1,10,20,5,8,1,1,0.5", RESULTS: "1,1,10,20,5,8,0.5", DETECTIONS: "1,-1,10,20,5,8,0.5"}
FAULTS = [
    (GROUND_TRUTH, "0,2,1,1,5,5,1,1,1"),
    (GROUND_TRUTH, "-3,2,1,1,5,5,1,1,1"),
    (GROUND_TRUTH, "1.5,2,1,1,5,5,1,1,1"),
    (GROUND_TRUTH, "900000000,2,1,1,5,5,1,1,1"),
    (GROUND_TRUTH, "1e300,2,1,1,5,5,1,1,1"),
    (GROUND_TRUTH, "nan,2,1,1,5,5,1,1,1"),
    (GROUND_TRUTH, "7,2,1,1,5,5,1,1,1"),
    (GROUND_TRUTH, ",2,1,1,5,5,1,1,1"),
    (GROUND_TRUTH, "1,1,1,1,5,5,1,1,1"),
    (GROUND_TRUTH, "1,2.5,1,1,5,5,1,1,1"),
    (GROUND_TRUTH, "1,1e17,1,1,5,5,1,1,1"),
    (GROUND_TRUTH, "1,x,1,1,5,5,1,1,1"),
    (GROUND_TRUTH, "1,1_0,1,1,5,5,1,1,1"),
    (GROUND_TRUTH, "1,2,1,1,5,5,1,0,1"),
    (GROUND_TRUTH, "1,2,1,1,5,5,1,14,1"),
    (GROUND_TRUTH, "1,2,1,1,5,5,1,1.5,1"),
    (GROUND_TRUTH, "1,2,1,1,5,5,1,-1,1"),
    (GROUND_TRUTH, "1,2,1,1,5,5,1,1"),
    (GROUND_TRUTH, "1,2,1,1,5,5,1,-1,-1,-1"),
    (GROUND_TRUTH, "1 2 1 1 5 5 1 1 1"),
    (GROUND_TRUTH, "1,2,1,1,inf,5,1,1,1"),
    (RESULTS, "900000000,2,1,1,5,5,1"),
    (RESULTS, "1,-1,1,1,5,5,1\n1,-1,2,1,5,5,1"),
    (RESULTS, "1,1,2,1,5,5,1"),
    (RESULTS, "1,2,1,1,5,5"),
    (DETECTIONS, "900000000,-1,1,1,5,5,1"),
    (DETECTIONS, "0,-1,1,1,5,5,1"),
    (DETECTIONS, "1,-1,1,1,5,nan,1"),
]


def judged(data: bytes, kind: RowKind) -> tuple[str | None, list[Problem]]:
    """What the strict door says (None: nothing), and the fatal faults that the collecting door tells of."""
    problems: list[Problem] = []
    kept = judge_rows(data, "x.txt", kind, problems.append, length=6)
    try:
        table = judge_rows(data, "x.txt", kind, refuse, length=6)
    except InputError as error:
        return str(error), [problem for problem in problems if problem.fatal]
    assert len(table) == len(kept)
    return None, [problem for problem in problems if problem.fatal]


@pytest.mark.parametrize(("kind", "row"), FAULTS)
def test_both_doors_refuse_for_the_same_reason(kind: RowKind, row: str) -> None:
    refused, problems = judged(f"{GOOD[kind]}\n{row}\n{GOOD[kind].replace('1,', '2,', 1)}\n".encode(), kind)
    assert refused == str(problems[0])
    assert refused.startswith("x.txt:")


@pytest.mark.parametrize("kind", [GROUND_TRUTH, RESULTS, DETECTIONS])
def test_no_text_and_no_rows(kind: RowKind) -> None:
    assert judged(b"1,\xff", kind)[0] == str(judged(b"1,\xff", kind)[1][0])
    refused, problems = judged(b"\xef\xbb\xbf\n \n", kind)
    assert (refused is not None) == bool(problems) == kind.truth


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([GROUND_TRUTH, RESULTS, DETECTIONS]),
    st.lists(st.tuples(st.integers(0, 90), st.sampled_from(list("0123456789,.-e \nx"))), max_size=6),
)
def test_mutated_tables_are_judged_alike(kind: RowKind, changes: list[tuple[int, str]]) -> None:
    text = "".join(f"{GOOD[kind].replace('1,', f'{frame},', 1)}\n" for frame in range(1, 5))
    for at, character in changes:
        text = text[:at] + character + text[at + 1 :]
    refused, problems = judged(text.encode(), kind)
    assert refused == (str(problems[0]) if problems else None)


@pytest.mark.parametrize("fault", ["", "1,x,1,1,5,5,1,1,1\n"])
@pytest.mark.parametrize("blank", ["", "\n", " \n", ",,\n\n"])
@pytest.mark.parametrize("first", [True, False])
def test_a_long_file_reads_as_a_short_one(fault: str, blank: str, first: bool) -> None:
    """Numpy's parser takes long files; blank lines count in the lines that are named."""
    rows = "".join(f"{frame},{n},1.5,2,5,8,1,1,1\n" for frame in range(1, 7) for n in range(100))
    text = (blank + rows if first else rows + blank) + fault
    for end in ("\n", ""):
        problems: list[Problem] = []
        data = f"{text}7,1,1,1,5,5,1,1,1{end}".encode()
        table = judge_rows(data, "x.txt", GROUND_TRUTH, problems.append, length=6)
        assert len(table) == 600
        assert problems[-1].where == f"x.txt:{601 + blank.count(chr(10)) + bool(fault)}"
        assert len(problems) == 1 + bool(fault)


def test_the_readers_use_it() -> None:
    with pytest.raises(InputError, match="beyond 999999"):
        parse_ground_truth(b"900000000,1,1,1,5,5,1,1,1", "gt.txt")
    with pytest.raises(InputError, match="identity -1 appears twice"):
        parse_results(b"1,-1,1,1,5,5,1\n1,-1,2,1,5,5,1\n", "a.txt")


ROWS = "1,1,10.5,20,5,8,1,1,0.5\n1,2,30,20,5,8,1,1,0.5\n2,1,11,20,5,8,1,1,0.5\n"


@pytest.mark.parametrize("times", [1, 2000])  # numpy reads long files
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (ROWS.replace(",", ";"), "semicolons"),
        (
            ROWS.replace(",", ";").replace(".", ","),
            "semicolons: write it as CSV with commas, and decimals with a point",
        ),
        (ROWS.replace(",", "\t"), "tabs"),
        (ROWS.replace(",", " "), "blanks"),
        ("".join('"' + line.replace(",", '","') + '"\n' for line in ROWS.split()), "in quotes"),
        (ROWS.replace("\n", ",\n"), "a comma at the end"),
        ("frame,id,x,y,w,h,flag,class,vis\n" + ROWS, "line of titles \\(frame,id,x"),
        ("<!DOCTYPE html>\n<p>not found\n", "web page"),
        ("version https://git-lfs.github.com/spec/v1\nsize 12\n", "git lfs pull"),
    ],
)
def test_rows_of_other_programs_are_told_once(data: str, expected: str, times: int) -> None:
    problems: list[Problem] = []
    assert not len(judge_rows((data * times).encode(), "gt.txt", GROUND_TRUTH, problems.append))
    assert len(problems) == 1
    assert problems[0].where == "gt.txt:1"
    with pytest.raises(InputError, match=expected):
        parse_ground_truth((data * times).encode(), "gt.txt")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n"])
@pytest.mark.parametrize("times", [1, 2000])
def test_any_line_ends(end: str, times: int) -> None:
    rows = "".join(ROWS.replace("1,1,", f"{n},1,", 1).replace("\n", end) for n in range(1, times + 1))
    found = judge_rows(("\ufeff" + rows).encode(), "gt.txt", GROUND_TRUTH, lambda problem: None)
    assert found.frame.max() == max(times, 2)


def test_wide_text_is_named() -> None:
    with pytest.raises(InputError, match="UTF-16: save it as UTF-8"):
        parse_ground_truth(ROWS.encode("utf-16"), "gt.txt")


@pytest.mark.parametrize("row", ["1;1;10;20;5;8;1;1;0.5", "x,y,z", '"1",1,10,20,5,8,1,1,1', "1,1,10,20,5,8,1,1,1,"])
def test_one_faulty_row_is_no_dialect(row: str) -> None:
    problems: list[Problem] = []
    found = judge_rows(f"{row}\n{GOOD[GROUND_TRUTH]}\n".encode(), "gt.txt", GROUND_TRUTH, problems.append)
    assert len(found) == 1
    assert [problem.kind for problem in problems] == ["faulty row"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (ROWS.replace(",0.5", ",0.5,,,"), "or several: remove them"),
        ("frame\tid\tx\ty\tw\th\tf\tc\tv\n" + ROWS.replace(",", "\t"), "titles .*, to be removed, and .* tabs"),
        ("fn;id;x;y;w;h;f;c;v\n" + ROWS.replace(",", ";"), "titles .*, to be removed, and .* semicolons"),
        ("1 2001 2 180 320 WSV:2d;1O1\n2 2001 2 180 320 WSV:2d;1O1\n", "masks in place of boxes, as MOTS writes them"),
        (ROWS.replace(",1,1,0.5", ",1"), "has 7 columns in all 3 rows, expected 9 .* 1,1,1 where unknown"),
        (ROWS.replace(",1,0.5", ",person,0.5"), "column 8 is 'person' in all 3 rows"),
        (
            ROWS.replace(",1,0.5", ",man,0.5", 1).replace(",1,0.5", ",dog,0.5"),
            "'man' and no number in any of the 3 rows",
        ),
    ],
)
def test_what_all_rows_have_is_told_once(data: str, expected: str) -> None:
    problems: list[Problem] = []
    assert not len(judge_rows(data.encode(), "gt.txt", GROUND_TRUTH, problems.append))
    assert len(problems) == 1
    with pytest.raises(InputError, match=expected):
        parse_ground_truth(data.encode(), "gt.txt")


@pytest.mark.parametrize("empty", [",,,,,,,,", " , ,,,,,,, ", ",\n,,"])
def test_rows_of_delimiters_alone_are_blank(empty: str) -> None:
    """Spreadsheets write them below a table; the lines behind keep their numbers."""
    assert len(parse_ground_truth(f"{empty}\n{ROWS}{empty}\n".encode(), "gt.txt")) == 3
    with pytest.raises(InputError, match="no rows"):
        parse_ground_truth(f"{empty}\n".encode(), "gt.txt")


def test_a_file_that_counts_from_0_is_told_so() -> None:
    with pytest.raises(InputError, match="counts frames from 0, add 1 to its first column"):
        parse_ground_truth(ROWS.replace("1,1,10", "0,1,10").encode(), "gt.txt")


def walkers(frames: int, people: int, step: float) -> str:
    """Rows of people side by side who move `step` pixels a frame."""
    boxes = ((f, n, 100 * n + step * f, 20 + f) for f in range(1, frames + 1) for n in range(1, people + 1))
    return "".join(f"{f},{n},{x},{y},40,90,1,1,1\n" for f, n, x, y in boxes)


@pytest.mark.parametrize(("frames", "people", "step"), [(30, 3, 2), (12, 12, 0), (5, 40, 5)])
def test_exchanged_columns_are_told(frames: int, people: int, step: float) -> None:
    text = walkers(frames, people, step)
    assert len(parse_ground_truth(text.encode(), "gt.txt")) == frames * people
    turned = "".join(",".join([b, a, rest]) + "\n" for a, b, rest in (row.split(",", 2) for row in text.split()))
    with pytest.raises(InputError, match="are the two columns exchanged"):
        parse_ground_truth(turned.encode(), "gt.txt")


@pytest.mark.parametrize("identity", ["-1", "0", "1"])
def test_doubled_boxes_without_identities_are_no_exchanged_columns(identity: str) -> None:
    """A detector's, before the weaker of two on one person are taken out."""
    rows = [f"{f},{identity},{100 * f % 700 + n},{20 + n},40,90,1,1,1\n" for f in range(1, 31) for n in range(4)]
    table = judge_rows("".join(rows).encode(), "gt.txt", GROUND_TRUTH, refuse)
    assert (len(table), table.known_identities()) == (120, 0)


@pytest.mark.parametrize(("frames", "people", "step"), [(30, 3, 60), (2, 9, 2), (40, 1, 1), (1, 30, 0)])
def test_few_or_fast_boxes_are_no_exchanged_columns(frames: int, people: int, step: float) -> None:
    """Whoever moves farther than his box, and boxes of which one cannot tell."""
    assert len(parse_ground_truth(walkers(frames, people, step).encode(), "gt.txt")) == frames * people


@pytest.mark.parametrize("tail", ["1,4,0,0", "0,1,1,2", "1,11,0,1"])
def test_eight_whole_numbers_are_no_results(tail: str) -> None:
    rows = "".join(f"{10 * n},20,30,40,{tail}\n" for n in range(1, 4))
    with pytest.raises(InputError, match="VisDrone's boxes of images"):
        judge_rows(rows.encode(), "a.txt", RESULTS, refuse)
    assert len(judge_rows(b"1,1,10,20,5,8,0.5,-1\n", "a.txt", RESULTS, refuse)) == 1
