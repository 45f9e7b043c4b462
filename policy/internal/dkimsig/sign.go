package dkimsig

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
)

var errMismatch = errors.New("the header does not match the signature")

// Verify verifies a signature of a SHA-256 hash. a is the algorithm.
func Verify(k *PublicKey, a string, sum, signature []byte) error {
	if want := k.Algorithm(); a != want {
		return fmt.Errorf("a=%s, but the key is for %s", a, want)
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, signature) == nil {
			return nil
		}
	case ed25519.PublicKey: // RFC 8463, 3: the hash is signed, not the text
		if ed25519.Verify(key, sum, signature) {
			return nil
		}
	}
	return errMismatch
}

// Sign signs a SHA-256 hash.
func Sign(key crypto.Signer, sum []byte) (signature []byte, err error) {
	opts := crypto.SignerOpts(crypto.SHA256)
	if _, ok := key.Public().(ed25519.PublicKey); ok {
		opts = crypto.Hash(0)
	}
	return key.Sign(rand.Reader, sum, opts)
}
