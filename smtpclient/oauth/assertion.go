package oauth

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"
)

// assertionTime is how long an assertion is valid. The clocks of the two hosts may
// differ by about as much.
const assertionTime = 10 * time.Minute

// assert returns the assertion by which a client proves that it has the key of a
// certificate (RFC 7523, 3). It is a JWT (RFC 7519) with the SHA-256 thumbprint of
// the certificate (RFC 7515, 4.1.8), signed with PS256 (RFC 7518, 3.5).
func assert(cert *tls.Certificate, clientID, audience string) (string, error) {
	key, ok := cert.PrivateKey.(crypto.Signer)
	if !ok || len(cert.Certificate) == 0 {
		return "", errNotRSA
	}
	thumbprint := sha256.Sum256(cert.Certificate[0])
	now := time.Now()
	encode := base64.RawURLEncoding.EncodeToString
	part := func(fields map[string]any) string {
		b, _ := json.Marshal(fields) // texts and numbers
		return encode(b)
	}
	text := part(map[string]any{"alg": "PS256", "typ": "JWT", "x5t#S256": encode(thumbprint[:])}) + "." + part(map[string]any{
		"aud": audience, "iss": clientID, "sub": clientID, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(assertionTime).Unix(),
	})
	sum := sha256.Sum256([]byte(text))
	signature, err := key.Sign(rand.Reader, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	if err != nil {
		return "", errors.New("the assertion could not be signed")
	}
	return text + "." + encode(signature), nil
}

var errNotRSA = errors.New("oauth: Certificate has no RSA key, which Entra requires")

// checkCertificate returns an error if Entra cannot accept an assertion of cert.
func checkCertificate(cert *tls.Certificate) error {
	key, ok := cert.PrivateKey.(crypto.Signer)
	if ok {
		_, ok = key.Public().(*rsa.PublicKey)
	}
	if !ok || len(cert.Certificate) == 0 {
		return errNotRSA
	}
	return nil
}

// rsaKey parses an RSA key in DER, as PKCS #8 or PKCS #1.
func rsaKey(der []byte) (*rsa.PrivateKey, error) {
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	r, ok := k.(*rsa.PrivateKey)
	if !ok {
		return nil, errNotRSA
	}
	return r, nil
}
