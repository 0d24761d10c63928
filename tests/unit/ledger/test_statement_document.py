"""Statements as documents: they verify against the roots, and whatever is changed in them is named."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallpeck.ledger import __main__ as command
from smallpeck.ledger import seals, signatures
from smallpeck.ledger.accounts import worker_available
from smallpeck.ledger.chain import GENESIS
from smallpeck.ledger.verifying import sealed_and_not, verify
from tests.unit.ledger.sealed import Books, rechained

CORE = Path(__file__).resolve().parents[3] / "layers" / "core" / "python"


class Case:
    """Three days of books: entries on two of them, then one that is not sealed yet."""

    def __init__(self) -> None:
        self.books = Books()
        for micros in (100_000, 200_000, 300_000):
            self.books.credit(micros)
            self.books.credit(micros, account=worker_available("bob"))
        self.first = self.books.seal_next_day()
        self.books.credit(400_000)
        self.second = self.books.seal_next_day()
        self.books.credit(500_000)
        self.document = self.books.document()
        self.keys = [self.books.signer.key(), self.books.root_signer.key()]

    def signed(self, document: Any) -> Any:
        """The document under the platform's own signature: what an intruder with its key could give out."""
        plain = {name: value for name, value in document.items() if name != "signature"}
        return json.loads(json.dumps(signatures.signed(plain, self.books.signer)))


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


def changed(document: Any, change: Callable[[Any], None]) -> Any:
    """A copy of a document after a change."""
    copy = json.loads(json.dumps(document))
    change(copy)
    return copy


def test_a_statement_proves_itself_against_the_newest_root(case: Case) -> None:
    assert verify(case.document, roots=[case.second]) == []
    assert verify(case.document, roots=[case.second], keys=case.keys) == []
    assert sealed_and_not(case.document) == (4, 1)
    document = case.document
    assert [row["amount_micros"] for row in document["rows"]] == [100_000, 200_000, 300_000, 400_000, 500_000]
    assert document["rows"][0]["previous_hash"] == GENESIS
    assert document["head"] == {
        "seq": 5, "balance_micros": 1_500_000, "row_hash": document["rows"][-1]["row_hash"],
    }  # fmt: skip
    assert set(document["days"]) == {case.first["record"]["day"], case.second["record"]["day"]}
    assert document["proofs"][-1] == {"seq": 5, "row": None, "entry": None}


def test_the_roots_of_its_own_days_do_as_well(case: Case) -> None:
    assert verify(case.document, roots=[case.first, case.second]) == []
    third = case.books.seal_next_day()
    assert verify(case.document, roots=[case.first, case.second, third]) == []
    (problem, *_) = verify(case.document, roots=[third])
    assert "was not given" in problem
    assert verify(case.books.document(), roots=[third]) == []


def test_a_statement_comes_in_runs_that_follow_each_other(case: Case) -> None:
    books = Case().books
    whole = books.document()
    after, rows = 0, []
    while True:
        run = books.document(after_seq=after, limit=2)
        newest = books.roots.newest()
        assert newest is not None
        assert verify(run, roots=[books.roots.get(newest.number)]) == []
        rows += run["rows"]
        if not run["period"]["more"]:
            break
        after = run["period"]["last_seq"]
    assert rows == whole["rows"]
    beyond = books.document(after_seq=99)
    assert (beyond["rows"], beyond["period"], beyond["opening"]) == ([], None, whole["head"])
    assert verify(beyond, roots=[case.second]) == []


def test_before_the_first_seal_there_are_rows_and_no_proofs() -> None:
    books = Books()
    books.credit()
    document = books.document()
    assert (document["root"], document["days"]) == (None, {})
    assert verify(document, roots=[], keys=[books.signer.key()]) == []
    assert verify(document, roots=[])[0].startswith("signature: the key ")


def test_nobody_elses_money_is_in_it(case: Case) -> None:
    text = json.dumps(case.document)
    for secret in ("bob", "requester", "escrow", "revenue", '"postings"'):
        assert secret not in text


# The four that must be rejected, with the signature broken by it and with the signature of the platform


def one_changed_amount(document: Any) -> None:
    document["rows"][1]["amount_micros"] += 1


def one_removed_entry(document: Any) -> None:
    del document["rows"][1], document["proofs"][1]


def two_swapped_entries(document: Any) -> None:
    rows = document["rows"]
    rows[0], rows[2] = rows[2], rows[0]


REJECTED = {
    "one changed amount": (one_changed_amount, "row 2: the row is not what was recorded"),
    "one removed entry": (one_removed_entry, "row 3: the row follows number 1"),
    "two swapped entries": (two_swapped_entries, "row 3: the row follows number 0"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_a_document_that_was_tampered_with_is_rejected(case: Case, name: str) -> None:
    change, says = REJECTED[name]
    tampered = changed(case.document, change)
    problems = verify(tampered, roots=[case.second])
    assert problems[0] == "signature: the signature does not hold: the document is not what was signed"
    assert says in problems
    resigned = verify(case.signed(tampered), roots=[case.second])
    assert "signature" not in " ".join(resigned)
    assert says in resigned


def with_rows(document: Any, change: Callable[[Any], None]) -> Any:
    """A document whose rows were changed and made right again: only the seals know better."""
    copy = changed(document, change)
    return rechained(copy, copy["rows"])


def test_a_changed_amount_under_a_right_chain_and_signature_is_not_what_was_sealed(case: Case) -> None:
    forged = case.signed(with_rows(case.document, one_changed_amount))
    problems = verify(forged, roots=[case.second])
    assert problems[0] == "row 2: it is not the row that was sealed"
    assert not [one for one in problems if one.startswith(("signature", "sums", "head"))]


def test_a_removed_entry_under_a_right_chain_and_signature_is_not_what_was_sealed(case: Case) -> None:
    def removed(document: Any) -> None:
        one_removed_entry(document)
        for number, proof in enumerate(document["proofs"], 1):
            proof["seq"] = number

    problems = verify(case.signed(with_rows(case.document, removed)), roots=[case.second])
    assert "row 2: it is not the row that was sealed" in problems
    assert "row 2: it does not stand in the seal of 2026-01-01" in problems


def test_swapped_entries_under_a_right_chain_and_signature_are_not_what_was_sealed(case: Case) -> None:
    def swapped(document: Any) -> None:
        rows, proofs = document["rows"], document["proofs"]
        rows[0], rows[2] = rows[2], rows[0]
        for kind in ("row", "entry"):
            proofs[0][kind], proofs[2][kind] = proofs[2][kind], proofs[0][kind]

    problems = verify(case.signed(with_rows(case.document, swapped)), roots=[case.second])
    assert "row 1: it is not the row that was sealed" in problems
    assert "row 3: it is not the row that was sealed" in problems

    def proofs_only(document: Any) -> None:
        proofs = document["proofs"]
        proofs[0]["entry"], proofs[2]["entry"] = proofs[2]["entry"], proofs[0]["entry"]

    problems = verify(case.signed(changed(case.document, proofs_only)), roots=[case.second])
    assert problems == [
        f"row {seq}: its entry page-{page}/1 does not stand in the seal of 2026-01-01" for seq, page in ((1, 1), (3, 5))
    ]


def test_another_root_is_rejected(case: Case) -> None:
    other = Case()
    other.books.credit(1)
    foreign = Books()
    foreign.credit(7)
    foreign.seal_next_day()
    roots = foreign.seal_next_day()
    problems = verify(case.document, roots=[roots])
    assert problems == [
        f"root: the document's root of {case.second['record']['day']} is another one than was given"
        for _ in case.document["days"]
    ]
    assert "was not given" in verify(case.document, roots=[])[1]


def test_a_root_that_was_changed_is_rejected(case: Case) -> None:
    def bigger(root: Any) -> None:
        root["record"]["size"] += 1

    problems = verify(case.document, roots=[changed(case.second, bigger)])
    assert problems[0] == "root 1: signature: the signature does not hold: the document is not what was signed"
    assert "root 1: the day is not the last one of its log" in problems

    def history(root: Any) -> None:
        root["previous"]["log"]["root"] = "0" * 64

    assert "root 1: the log before it was changed" in verify(case.document, roots=[changed(case.second, history)])


def test_a_root_signed_by_a_key_that_is_not_ours_is_rejected_where_the_keys_are_known(case: Case) -> None:
    other = Books()
    other.root_signer = type(other.root_signer)(other.root_signer.kms, "arn:their-roots", signatures.ROOT)
    other.credit()
    theirs = other.seal_next_day()
    assert verify(other.document(), roots=[theirs]) == []
    assert "is not among the keys" in verify(other.document(), roots=[theirs], keys=case.keys)[0]


def test_a_key_signs_only_what_it_is_for(case: Case) -> None:
    plain = {name: value for name, value in case.document.items() if name != "signature"}
    forged = json.loads(json.dumps(signatures.signed(plain, case.books.root_signer)))
    assert "is not for signing a statement" in verify(forged, roots=[case.second])[0]


def test_rows_that_were_left_out_of_the_end_are_missed(case: Case) -> None:
    def cut(document: Any) -> None:
        del document["rows"][-1], document["proofs"][-1]
        document["period"] |= {"last_seq": 4, "to_ms": document["rows"][-1]["at_ms"]}

    (problem,) = verify(case.signed(changed(case.document, cut)), roots=[case.second])
    assert problem == "rows: they end with number 4, the account with number 5"


def test_a_row_that_should_have_been_sealed_long_ago_is_told() -> None:
    books = Books()
    books.credit()
    books.seal_next_day()
    for _ in range(3):
        books.next_day()
    books.seal()
    newest = books.seal_next_day()

    def unsealed(document: Any) -> None:
        document["proofs"][0] |= {"row": None, "entry": None}
        document["days"] = {}

    case = Case()
    case.books = books
    (problem,) = verify(case.signed(changed(books.document(), unsealed)), roots=[newest])
    assert problem == "row 1: it should have been sealed long ago, and is not"


def leaves_of(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the simple values of a document stand."""
    if isinstance(value, dict):
        return [one for name, inner in value.items() for one in leaves_of(inner, (*place, name))]
    if isinstance(value, list):
        return [one for number, inner in enumerate(value) for one in leaves_of(inner, (*place, number))]
    return [place]


CASE = Case()
PLACES = leaves_of(CASE.document)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PLACES), st.sampled_from(["flip", "none", "remove", "number", "text"]))
def test_any_change_anywhere_is_noticed_and_nothing_is_raised(place: tuple[Any, ...], how: str) -> None:
    def change(document: Any) -> None:
        holder = document
        for step in place[:-1]:
            holder = holder[step]
        value = holder[place[-1]]
        if how == "remove":
            del holder[place[-1]]
        elif how == "flip" and isinstance(value, str) and value:
            holder[place[-1]] = ("0" if value[0] != "0" else "1") + value[1:]
        else:
            other: dict[str, Any] = {"none": None, "number": -1, "text": "zz", "flip": 7}
            holder[place[-1]] = other[how]

    tampered = changed(CASE.document, change)
    if tampered != CASE.document:
        assert verify(tampered, roots=[CASE.second]) != []
        # Under a new signature its proofs and sums speak; the moment of issue is only the signature's word.
        if place[0] not in ("issued_at_ms", "signature"):
            assert verify(CASE.signed(tampered), roots=[CASE.second]) != []


@pytest.mark.parametrize("nonsense", [None, 7, "x", [], {}, {"type": "smallpeck.statement.v1"}, {"type": None}])
def test_what_is_no_document_is_told(case: Case, nonsense: Any) -> None:
    assert verify(nonsense, roots=[case.second])
    assert verify(case.document, roots=[nonsense])


# The command


@pytest.fixture
def files(tmp_path: Path, case: Case) -> Callable[..., list[str]]:
    def written(document: Any = None, root: Any = None, *, key: Any = None) -> list[str]:
        given = {"statement": document or case.document, "root": root or case.second}
        given |= {} if key is None else {"jwks": key}
        for name, content in given.items():
            text = content if isinstance(content, str) else json.dumps(content, indent=2)
            (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
        keys = [] if key is None else ["--key", str(tmp_path / "jwks.json")]
        return ["verify", str(tmp_path / "statement.json"), "--root", str(tmp_path / "root.json"), *keys]

    return written


def test_the_command_says_that_it_holds(
    files: Callable[..., list[str]], case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(files()) == 0
    told = "worker:ann:available in USD: 5 rows hold, 4 of them sealed, 1 newer than the last seal\n"
    assert capsys.readouterr().out == told
    assert command.main(files(key={"keys": case.keys})) == 0


def test_the_command_runs_alone_with_the_standard_library_and_cryptography(
    files: Callable[..., list[str]], case: Case
) -> None:
    watch = (
        "import runpy, sys; sys.argv[0] = 'verify'\n"
        "try:\n    runpy.run_module('smallpeck.ledger', run_name='__main__')\n"
        "finally:\n    print(sorted({n.partition('.')[0] for n in sys.modules} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", watch, *files()],
        env={"PYTHONPATH": str(CORE), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    foreign = set(json.loads(done.stdout.splitlines()[-1].replace("'", '"')))
    assert foreign <= {"cryptography", "smallpeck", "cffi", "sitecustomize"} | {
        name for name in foreign if name.startswith("_")
    }
    tampered = changed(case.document, one_changed_amount)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "smallpeck.ledger", *files(tampered)],
        env={"PYTHONPATH": str(CORE), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "row 2: the row is not what was recorded" in done.stderr.splitlines()


@pytest.mark.parametrize(
    "text", ["", "{", '{"a":1,"a":2}', "\udcff", "[" * 100_000], ids=["empty", "open", "twice", "bytes", "deep"]
)
def test_a_file_that_cannot_be_read_is_an_answer_and_no_traceback(
    files: Callable[..., list[str]], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = files()
    (tmp_path / "statement.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert command.main(asked) == 1
    assert capsys.readouterr().err.startswith("cannot read the files: ")
    assert command.main(["verify", str(tmp_path / "missing.json"), "--root", asked[-1]]) == 1
    assert command.main([*files(), "--key", asked[1]]) == 1


# Signatures


def test_signed_bytes_are_the_canonical_json_without_the_signature() -> None:
    document = {"b": [1, -2, True, None], "a": "ü\n", "signature": {"value": "x"}}
    assert signatures.signed_bytes(document) == '{"a":"ü\\n","b":[1,-2,true,null]}'.encode()


def test_signatures_of_every_length_are_written_as_64_bytes(case: Case) -> None:
    for number in range(300):
        document = signatures.signed({"n": number}, case.books.signer)
        signatures.check(document, case.keys, signatures.STATEMENT)


@pytest.mark.parametrize(
    "der", [b"", b"0", b"0\x00", b"0\x06\x02\x01\x01\x02\x01", b"0\x07\x02\x01\x01\x02\x01\x01x", b"0\x03\x02\x01\x01"]
)
def test_what_is_no_signature_is_refused(der: bytes) -> None:
    with pytest.raises(signatures.BadSignature):
        signatures.raw_of_der(der)


def test_what_is_no_key_on_p256_is_refused() -> None:
    with pytest.raises(signatures.BadKey):
        signatures.jwk_of(b"0Y" + b"x" * 89, "statement")


def test_a_key_under_anothers_name_is_refused(case: Case) -> None:
    theirs = Books()
    key = type(theirs.signer)(theirs.signer.kms, "arn:theirs", signatures.STATEMENT)
    stolen = {**key.key(), "kid": case.books.signer.key()["kid"]}
    document = signatures.signed({"a": 1}, key)
    document["signature"]["kid"] = stolen["kid"]
    with pytest.raises(signatures.BadSignature, match="another key than its name says"):
        signatures.check(document, [stolen], signatures.STATEMENT)


def test_days_are_those_of_utc() -> None:
    assert seals.day_before("2026-11-22T00:15:00Z") == "2026-11-21"
    assert seals.day_before("2026-11-22T00:15:00+01:00") == "2026-11-20"
    assert seals.end_of("1970-01-01") == seals.DAY_MS
    assert seals.day_of(seals.end_of("2026-11-21") - 1) == "2026-11-21"
