package dkimsig

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
	"github.com/bridgehead-mail/bridgehead/policy/internal/taglist"
)

// Bounds of keys: RFC 8301, 3.2 refuses shorter ones, longer ones cost too
// much time.
const (
	minRSABits = 1024
	maxRSABits = 8192
	maxRecord  = 8 << 10
)

// A PublicKey is a key record (RFC 6376, 3.6.1).
type PublicKey struct {
	// Strict (t=s): the domain of i= must be d= itself, not one below it.
	Strict bool
	// Testing (t=y).
	Testing bool
	// Key is an *rsa.PublicKey or an ed25519.PublicKey.
	Key crypto.PublicKey
	// Record is the record with nothing in it but the kind (k=) and the key
	// (p=).
	Record string
}

// ErrTemporary is wrapped by errors that come from DNS and may pass.
var ErrTemporary = errors.New("no answer from DNS")

// LookupKey finds the key of a selector and domain.
func LookupKey(ctx context.Context, r lookup.TXTResolver, selector, domain string) (*PublicKey, error) {
	name := selector + "._domainkey." + domain
	records, err := lookup.TXT(ctx, r, name)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w: %w", name, ErrTemporary, err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("key %s does not exist", name)
	}
	// Several records are an error of the owner's (RFC 6376, 3.6.2.2): the
	// first that is a key will do.
	var first error
	for _, record := range records[:min(len(records), 5)] {
		k, err := ParseKey(record)
		if err == nil {
			return k, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, fmt.Errorf("key %s: %w", name, first)
}

// ParseKey reads a key record.
func ParseKey(text string) (*PublicKey, error) {
	if len(text) > maxRecord {
		return nil, errors.New("the record is longer than 8 KiB")
	}
	tags, err := taglist.ParseRecord(text)
	if err != nil {
		return nil, err
	}
	if v, found := tags.Get("v"); found && (v != "DKIM1" || tags[0].Name != "v") {
		return nil, errors.New("not a record of version DKIM1")
	}
	if h, found := tags.Get("h"); found && !slices.Contains(taglist.Split(h, ":"), "sha256") {
		return nil, errors.New("the key is not for sha256")
	}
	if s, found := tags.Get("s"); found {
		if services := taglist.Split(s, ":"); !slices.Contains(services, "*") && !slices.Contains(services, "email") {
			return nil, errors.New("the key is not for email")
		}
	}
	flags := taglist.Split(tags.Value("t"), ":")
	k := &PublicKey{Strict: slices.Contains(flags, "s"), Testing: slices.Contains(flags, "y")}
	p, found := tags.Get("p")
	if !found {
		return nil, errors.New("the record has no p= tag")
	}
	if p == "" {
		return nil, errors.New("the key is revoked")
	}
	p = taglist.Compact(p)
	b, err := base64.StdEncoding.DecodeString(p)
	if err != nil {
		return nil, errors.New("p= is not base64")
	}
	if k.Key, err = parsePublic(tags.Value("k"), b); err != nil {
		return nil, err
	}
	k.Record = record(k.Key, p)
	return k, nil
}

func parsePublic(kind string, b []byte) (crypto.PublicKey, error) {
	switch kind {
	case "", "rsa":
		return parseRSA(b)
	case "ed25519": // RFC 8463, 4: the 32 octets themselves
		if len(b) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("an Ed25519 key of %d octets", len(b))
		}
		return ed25519.PublicKey(b), nil
	}
	return nil, fmt.Errorf("unknown kind of key %q", kind)
}

// parseRSA takes a SubjectPublicKeyInfo or, after erratum 3017 of RFC 6376,
// an RSAPublicKey.
func parseRSA(b []byte) (crypto.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(b)
	if err != nil {
		if key, err = x509.ParsePKCS1PublicKey(b); err != nil {
			return nil, errors.New("p= is no RSA key")
		}
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("p= is no RSA key")
	}
	if n := public.N.BitLen(); n < minRSABits || n > maxRSABits {
		return nil, fmt.Errorf("an RSA key of %d bits, allowed are %d to %d", n, minRSABits, maxRSABits)
	}
	return public, nil
}

// Algorithm is the value of a= that fits the key.
func (k *PublicKey) Algorithm() string { return algorithmOf(k.Key) }

func algorithmOf(key crypto.PublicKey) string {
	switch key.(type) {
	case *rsa.PublicKey:
		return "rsa-sha256"
	case ed25519.PublicKey:
		return "ed25519-sha256"
	}
	return ""
}

// CheckAlgorithm says what is wrong with an a= tag, before any key is known.
func CheckAlgorithm(a string) error {
	switch a {
	case "rsa-sha256", "ed25519-sha256":
		return nil
	case "rsa-sha1": // RFC 8301, 3.1
		return errors.New("a=rsa-sha1 is too weak")
	}
	return fmt.Errorf("unknown algorithm %q", a)
}

// SigningAlgorithm is the a= tag for a private key, or why it cannot sign.
func SigningAlgorithm(key crypto.Signer) (string, error) {
	if key == nil {
		return "", errors.New("no private key")
	}
	a := algorithmOf(key.Public())
	if a == "" {
		return "", fmt.Errorf("a %T signs nothing here: RSA and Ed25519 keys do", key.Public())
	}
	if public, ok := key.Public().(*rsa.PublicKey); ok && public.N.BitLen() < minRSABits {
		return "", fmt.Errorf("an RSA key of %d bits is too short", public.N.BitLen())
	}
	return a, nil
}

// Record is the TXT record that publishes a key.
func Record(public crypto.PublicKey) (string, error) {
	var b []byte
	var err error
	switch key := public.(type) {
	case *rsa.PublicKey:
		b, err = x509.MarshalPKIXPublicKey(key)
	case ed25519.PublicKey:
		b = key
	default:
		err = fmt.Errorf("a %T cannot be published: RSA and Ed25519 keys can", public)
	}
	if err != nil {
		return "", err
	}
	return record(public, base64.StdEncoding.EncodeToString(b)), nil
}

func record(public crypto.PublicKey, p string) string {
	kind, _, _ := strings.Cut(algorithmOf(public), "-")
	return "v=DKIM1; k=" + kind + "; p=" + p
}
