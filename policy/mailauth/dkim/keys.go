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
	// Domain (d=) that signs, in ASCII, and Selector (s=) under which the key
	// is published, at Selector._domainkey.Domain.
	Domain, Selector string
	// Private key: an *rsa.PrivateKey of at least 1024 bits, an
	// ed25519.PrivateKey, or a crypto.Signer with such a public key.
	Private crypto.Signer
	// NotBefore and NotAfter bound the time in which the key signs; zero
	// times do not. To rotate a key, publish the new one, let the old one end
	// and the new one begin at the same time, and take the old record away
	// a week later.
	NotBefore, NotAfter time.Time
}

// Validate says what keeps the key from signing.
func (k *Key) Validate() error {
	name := k.Selector + "._domainkey." + k.Domain
	if !isSelector(k.Selector) || !chars.ASCII(k.Domain) || !isDomain(k.Domain) || !lookup.Valid(name) {
		return fmt.Errorf("dkim: selector %q and domain %q do not make a DNS name", k.Selector, k.Domain)
	}
	if _, err := dkimsig.SigningAlgorithm(k.Private); err != nil {
		return fmt.Errorf("dkim: key %s: %w", name, err)
	}
	return nil
}

// Name is where the key's record is to be published.
func (k *Key) Name() string { return k.Selector + "._domainkey." + k.Domain }

// Record is the TXT record to publish.
func (k *Key) Record() (string, error) {
	if err := k.Validate(); err != nil {
		return "", err
	}
	return dkimsig.Record(k.Private.Public())
}

func (k *Key) valid(now time.Time) bool {
	return !now.Before(k.NotBefore) && (k.NotAfter.IsZero() || now.Before(k.NotAfter))
}

// Keys makes a [Signer]'s Keys function of a fixed list. An author's domain
// is signed for with all keys of that very domain or, where it has none, with
// those of the nearest domain above it.
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

// ParsePrivateKey reads a PEM file with an RSA or Ed25519 key (PKCS #1 or
// PKCS #8). Its errors do not tell the content.
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
		return nil, fmt.Errorf("dkim: PEM block %q is no private key that can be read (PKCS #1 or PKCS #8, not encrypted)", block.Type)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("dkim: a %T does not sign", key)
	}
	if _, err := dkimsig.SigningAlgorithm(signer); err != nil {
		return nil, fmt.Errorf("dkim: %w", err)
	}
	return signer, nil
}
