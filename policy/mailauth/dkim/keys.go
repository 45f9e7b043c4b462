package dkim

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
)

// A Key is a private key that signs for a domain.
type Key struct {
	// Domain is the signing domain (d=), in ASCII. Selector is the selector (s=).
	// The key is published at Selector._domainkey.Domain.
	Domain, Selector string
	// Private is the private key: an *rsa.PrivateKey of at least 1024 bits, an
	// ed25519.PrivateKey, or another crypto.Signer with such a public key.
	Private crypto.Signer
	// The key signs from NotBefore until NotAfter. A zero time sets no limit. To
	// rotate a key, publish the new one. Then set NotAfter of the old key and
	// NotBefore of the new key to the same time. Remove the old record from DNS a
	// week later.
	NotBefore, NotAfter time.Time
}

// Validate returns an error if the key cannot sign: Domain and Selector do not
// form a valid DNS name, or Private is missing, too short or of another type.
func (k *Key) Validate() error {
	name := k.Selector + "._domainkey." + k.Domain
	if !isSelector(k.Selector) || !chars.ASCII(k.Domain) || !isDomain(k.Domain) || !lookup.Valid(name) {
		return fmt.Errorf("dkim: selector %q and domain %q do not form a valid DNS name", k.Selector, k.Domain)
	}
	if _, err := dkimsig.SigningAlgorithm(k.Private); err != nil {
		return fmt.Errorf("dkim: key %s: %w", name, err)
	}
	return nil
}

// Name returns the DNS name of the key's record.
func (k *Key) Name() string { return k.Selector + "._domainkey." + k.Domain }

// Record returns the TXT record to publish at [Key.Name]. It returns the error
// of Validate if the key is invalid.
func (k *Key) Record() (string, error) {
	if err := k.Validate(); err != nil {
		return "", err
	}
	return dkimsig.Record(k.Private.Public())
}

func (k *Key) valid(now time.Time) bool {
	return !now.Before(k.NotBefore) && (k.NotAfter.IsZero() || now.Before(k.NotAfter))
}

// Keys returns a function for Signer.Keys that uses a fixed list of keys. For
// an author's domain the function returns all keys of that domain. If there are
// none, it returns the keys of the nearest parent domain. Keys does not check the
// keys: with an invalid key, no message of its domain can be signed and sent. Call
// Key.Validate before.
func Keys(keys ...Key) func(domain string) []Key {
	byDomain := make(map[string][]Key)
	for _, k := range keys {
		d := addr.FoldDomain(k.Domain)
		byDomain[d] = append(byDomain[d], k)
	}
	return func(domain string) []Key {
		for d := addr.FoldDomain(domain); d != ""; _, d, _ = strings.Cut(d, ".") {
			if found := byDomain[d]; found != nil {
				return found
			}
		}
		return nil
	}
}

// ParsePrivateKey parses the content of a PEM file with an unencrypted RSA or
// Ed25519 key (PKCS #1 or PKCS #8). Its errors do not contain parts of the key.
func ParsePrivateKey(file []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		return nil, errors.New("dkim: not a PEM file")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("dkim: PEM block %q is not an unencrypted private key in PKCS #1 or PKCS #8", block.Type)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("dkim: a key of type %T cannot sign", key)
	}
	if _, err := dkimsig.SigningAlgorithm(signer); err != nil {
		return nil, fmt.Errorf("dkim: %w", err)
	}
	return signer, nil
}
