import json
import stat

import pytest

from fraud_ae.errors import UserError
from fraud_ae.runtime.signatures import check_signature, make_key, sign_file


@pytest.fixture
def signed(tmp_path):
    """A file, a pair of keys, and the signature of the file."""
    file, key, signature = tmp_path / "file", tmp_path / "key.pem", tmp_path / "file.signature"
    file.write_text("what is signed")
    public = make_key(key)
    sign_file(file, key, signature)
    return file, public, signature


def test_a_signature_holds_for_the_file_as_it_was(signed):
    check_signature(*signed)
    signed[0].write_text("what is Signed")
    with pytest.raises(UserError, match="its signature is not of this model"):
        check_signature(*signed)


def test_the_private_key_is_for_its_owner_alone_and_never_replaced(tmp_path):
    key = tmp_path / "key.pem"
    make_key(key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with pytest.raises(UserError, match="a key is not replaced"):
        make_key(key)


def test_the_signature_of_somebody_else_is_refused(signed, tmp_path):
    file, _, signature = signed
    public = make_key(tmp_path / "other.pem")
    with pytest.raises(UserError, match="by the owner of"):
        check_signature(file, public, signature)


def test_what_is_not_signed_is_refused(signed):
    file, public, signature = signed
    signature.unlink()
    with pytest.raises(UserError, match="is not signed; fraud-ae sign"):
        check_signature(file, public, signature)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        "{}",
        '{"signature": 3}',
        '{"signature": "!"}',
        '{"signature": ""}',
    ],
)
def test_a_damaged_signature_is_refused(signed, said):
    signed[2].write_text(said)
    with pytest.raises(UserError, match="its signature is not of this model"):
        check_signature(*signed)


def test_another_byte_of_the_signature_is_refused(signed):
    said = json.loads(signed[2].read_text())
    for position in range(0, 80, 7):
        text = said["signature"]
        other = "A" if text[position] != "A" else "B"
        changed = text[:position] + other + text[position + 1 :]
        signed[2].write_text(json.dumps({**said, "signature": changed}))
        with pytest.raises(UserError):
            check_signature(*signed)


@pytest.mark.parametrize("content", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_what_is_no_key_is_refused_by_name(signed, tmp_path, content):
    key = tmp_path / "none.pem"
    key.write_text(content)
    with pytest.raises(UserError, match=r"none\.pem"):
        sign_file(signed[0], key, signed[2])
    with pytest.raises(UserError, match=r"none\.pem"):
        check_signature(signed[0], key, signed[2])


def test_a_public_key_does_not_sign_and_a_private_one_does_not_check(signed, tmp_path):
    file, public, signature = signed
    with pytest.raises(UserError, match="no key"):
        sign_file(file, public, signature)
    with pytest.raises(UserError, match="no key"):
        check_signature(file, tmp_path / "key.pem", signature)
