"""Makes key pairs, and reads what was encrypted to one. One JSON object in, one out."""

import json
import sys

from jwcrypto import jwe, jwk

asked = json.load(sys.stdin)
if "generate" in asked:
    key = jwk.JWK.generate(**asked["generate"])
    told = {"public": json.loads(key.export_public()), "private": json.loads(key.export_private())}
else:
    key = jwk.JWK(**asked["key"])
    token = jwe.JWE()
    token.deserialize(asked["jwe"], key)
    told = {
        "header": json.loads(token.objects["protected"]),
        "plaintext": json.loads(token.payload),
        "thumbprint": key.thumbprint(),
    }
print(json.dumps(told))
