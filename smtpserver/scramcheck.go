package smtpserver

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"

	"golang.org/x/text/secure/precis"
)

// Check reports whether the credentials are those of the password. With it,
// PasswordAuth can serve the users of a Scram whose clients support only PLAIN and
// LOGIN. It takes the time of c.Iterations.
func (c ScramCredentials) Check(password string) bool {
	prepared, err := precis.OpaqueString.String(password)
	if err != nil {
		return false
	}
	salted, err := pbkdf2.Key(sha256.New, prepared, c.Salt, c.Iterations, sha256.Size)
	if err != nil {
		return false
	}
	stored := sha256.Sum256(hmacSHA256(salted, "Client Key"))
	return hmac.Equal(stored[:], c.StoredKey)
}
