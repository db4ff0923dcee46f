

# What follows drives the code above, which is that of docs/status-lists.md.
#
# Standard input: {"issuer": URL, "tokens": [{"token", "audience"}, …]}; the tokens are verified first.
# Standard output, one line of JSON a token: {"revoked": true or false, "size": entries, "claims"}, or
# {"refused": why}.


def main():
    import json
    import sys

    asked = json.load(sys.stdin)
    issuer = asked["issuer"]
    keys = jwt.PyJWKClient(f"{issuer}/oauth2/jwks")
    for one in asked["tokens"]:
        try:
            key = keys.get_signing_key_from_jwt(one["token"])
            claims = jwt.decode(
                one["token"],
                key.key,
                algorithms=[key._jwk_data["alg"]],
                audience=one["audience"],
                issuer=issuer,
            )
            uri = claims["status"]["status_list"]["uri"]
            told = {"revoked": is_revoked(claims, keys), "claims": claims}
            told["size"] = len(status_list(uri, issuer, keys)[1]) * 8
            beyond = dict(claims, status={"status_list": {"idx": told["size"], "uri": uri}})
            try:
                is_revoked(beyond, keys)
            except IndexError:
                told["beyond"] = "refused"
        except jwt.PyJWTError as error:
            told = {"refused": type(error).__name__}
        print(json.dumps(told))


main()
