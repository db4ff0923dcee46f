"""Verifies access tokens as a service in Python would: discovery, published keys, PyJWT.

Standard input: {"issuer": URL, "tokens": [{"token": …, "audience": URL}, …]}.
Standard output, one line of JSON a token: {"alg", "claims"}, or {"refused": why}.
"""

import json
import sys
import urllib.request
from urllib.parse import urlsplit

import jwt

REQUIRED = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"]  # RFC 9068, section 2.2


def discover(issuer):
    """The server's metadata, from the place that RFC 8414, section 3.1, builds from the issuer."""
    parts = urlsplit(issuer)
    url = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        metadata = json.load(answer)
    if metadata["issuer"] != issuer:
        raise SystemExit(f"the metadata are those of {metadata['issuer']}")
    return metadata


def verify(keys, issuer, audience, token):
    if jwt.get_unverified_header(token)["typ"] != "at+jwt":
        raise jwt.InvalidTokenError("not an access token")
    # PyJWT takes the key by its kid; the algorithm is the key's, never the token's.
    key = keys.get_signing_key_from_jwt(token)
    algorithm = key._jwk_data["alg"]
    claims = jwt.decode(
        token,
        key.key,
        algorithms=[algorithm],
        audience=audience,
        issuer=issuer,
        options={"require": REQUIRED},
    )
    return {"alg": algorithm, "claims": claims}


def main():
    asked = json.load(sys.stdin)
    keys = jwt.PyJWKClient(discover(asked["issuer"])["jwks_uri"])
    for one in asked["tokens"]:
        try:
            told = verify(keys, asked["issuer"], one["audience"], one["token"])
        except jwt.PyJWTError as error:
            told = {"refused": type(error).__name__}
        print(json.dumps(told))


if __name__ == "__main__":
    main()
