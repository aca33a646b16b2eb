"""Passwords, codes, sealed secrets and tokens, without a database."""

import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladnn.service.accounts import passwords, totp
from ladnn.service.accounts.sealing import seal, unseal
from ladnn.service.accounts.tokens import hash_of, new_token
from ladnn.service.errors import SealBroken

NOON = datetime(2026, 5, 4, 12, 0, 3, tzinfo=UTC)
SECRET = b"s" * 32


def test_a_password_is_kept_as_argon2id_with_a_salt_of_its_own():
    one, two = (
        passwords.hash_password("teal lamp river"),
        passwords.hash_password("teal lamp river"),
    )
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert one != two


def test_only_the_same_password_is_right_however_a_keyboard_writes_it():
    kept = passwords.hash_password("Zürich Bahnhof 7")
    assert passwords.check_password(kept, "Zu\u0308rich Bahnhof 7")
    assert not passwords.check_password(kept, "Zurich Bahnhof 7")


def test_where_there_is_no_hash_no_password_is_right():
    assert not passwords.check_password(None, "nobody has this password")
    assert not passwords.check_password("no hash at all", "nobody has this password")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("elevenchars", "password.short"),
        ("x" * 257, "password.long"),
        ("abababababab", "password.simple"),
        ("Password1234!", "password.common"),
        ("radiology2026", "password.common"),
        ("meyer.hospital", "password.common"),
        ("teal lamp river", None),
        ("绿灯大河与山间小路的尽头", None),
    ],
)
def test_a_weak_password_is_told_why(password: str, why: str | None):
    assert passwords.weakness(password, "meyer@hospital.org", "Anna Meyer") == why


def test_a_code_is_right_for_its_half_minute_and_the_two_beside_it():
    shared = totp.new_secret()
    code = totp.code_at(shared, NOON)
    late = [totp.matching_step(shared, code, NOON + timedelta(seconds=s), 0) for s in (-30, 0, 30)]
    assert late == [int(NOON.timestamp()) // 30] * 3
    assert totp.matching_step(shared, code, NOON + timedelta(seconds=60), 0) is None


def test_a_code_is_not_right_again_after_it_was_used():
    shared = totp.new_secret()
    code = totp.code_at(shared, NOON)
    step = totp.matching_step(shared, code, NOON, 0)
    assert step is not None
    assert totp.matching_step(shared, code, NOON, step) is None


@pytest.mark.parametrize(
    "code", ["", "12345", "\uff11\uff12\uff13\uff14\uff15\uff16", "000000\x00", "é"]
)
def test_what_is_no_code_is_wrong_and_no_error(code: str):
    assert totp.matching_step("JBSWY3DPEHPK3PXP" * 2, code, NOON, 0) is None


def test_the_qr_code_is_a_picture_without_style_or_script():
    picture = totp.qr_code(totp.enrolment_link(totp.new_secret(), "a+b@hospital.org"))
    assert picture.startswith("<svg")
    assert "style" not in picture
    assert "script" not in picture


def test_recovery_codes_are_read_as_people_write_them_down():
    code = totp.new_recovery_codes()[0]
    assert totp.tidy_recovery_code(f" {code.upper().replace('-', ' ')}") == code


def test_ten_recovery_codes_of_79_bits_are_made():
    codes = totp.new_recovery_codes()
    letters = set("".join(codes)) - {"-"}
    assert len(set(codes)) == 10
    assert all(len(code.replace("-", "")) == 16 for code in codes)
    assert letters <= set(string.ascii_lowercase + string.digits) - set("ilo01")


@given(st.text())
def test_what_was_sealed_can_be_read_again(text: str):
    assume_encodable = text.encode("utf-8", "ignore").decode()
    assert unseal(seal(assume_encodable, SECRET, "totp a"), SECRET, "totp a") == assume_encodable


def test_what_was_sealed_opens_for_no_other_secret_purpose_or_bytes():
    sealed = seal("JBSWY3DPEHPK3PXP", SECRET, "totp a")
    for bytes_, secret, purpose in (
        (sealed, b"t" * 32, "totp a"),
        (sealed, SECRET, "totp b"),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), SECRET, "totp a"),
        (b"", SECRET, "totp a"),
    ):
        with pytest.raises(SealBroken):
            unseal(bytes_, secret, purpose)


def test_a_token_has_256_bits_and_is_kept_as_a_hash():
    token = new_token()
    assert len(token) == 43
    assert token not in hash_of(token)
