package dkimsig

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/internal/taglist"
)

// Limits for keys. RFC 8301, 3.2 forbids shorter RSA keys. Longer ones take too
// much time.
const (
	minRSABits = 1024
	maxRSABits = 8192
	maxRecord  = 8 << 10
)

// A PublicKey is a key record (RFC 6376, 3.6.1).
type PublicKey struct {
	// Strict (t=s) requires that the domain of i= is d= and not a subdomain.
	Strict bool
	// Testing (t=y) means that the domain is testing DKIM.
	Testing bool
	// Key is an *rsa.PublicKey or an ed25519.PublicKey.
	Key crypto.PublicKey
	// Record is a record with only the tags v=, k= and p=.
	Record string
}

// ErrTemporary is wrapped by errors that mean that DNS did not answer.
var ErrTemporary = errors.New("no answer from DNS")

// ParseKey parses a key record of at most 8 KiB.
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
			return nil, fmt.Errorf("the Ed25519 key has %d octets, not 32", len(b))
		}
		return ed25519.PublicKey(b), nil
	}
	return nil, fmt.Errorf("unknown key type %q", kind)
}

// parseRSA parses a SubjectPublicKeyInfo or, as erratum 3017 of RFC 6376 allows,
// an RSAPublicKey.
func parseRSA(b []byte) (crypto.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(b)
	if err != nil {
		if key, err = x509.ParsePKCS1PublicKey(b); err != nil {
			return nil, errors.New("p= is not an RSA key")
		}
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("p= is not an RSA key")
	}
	if n := public.N.BitLen(); n < minRSABits || n > maxRSABits {
		return nil, fmt.Errorf("the RSA key has %d bits; %d to %d are allowed", n, minRSABits, maxRSABits)
	}
	return public, nil
}

// Algorithm returns the value of a= for the key.
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

// CheckAlgorithm returns an error if the value of an a= tag is unknown or too weak.
func CheckAlgorithm(a string) error {
	switch a {
	case "rsa-sha256", "ed25519-sha256":
		return nil
	case "rsa-sha1": // RFC 8301, 3.1
		return errors.New("a=rsa-sha1 is too weak")
	}
	return fmt.Errorf("unknown algorithm %q", a)
}

// SigningAlgorithm returns the value of a= for a private key. It returns an error
// if the key cannot sign.
func SigningAlgorithm(key crypto.Signer) (string, error) {
	if key == nil {
		return "", errors.New("no private key")
	}
	a := algorithmOf(key.Public())
	if a == "" {
		return "", fmt.Errorf("a key of type %T is not supported, only RSA and Ed25519 keys", key.Public())
	}
	if public, ok := key.Public().(*rsa.PublicKey); ok && public.N.BitLen() < minRSABits {
		return "", fmt.Errorf("the RSA key has %d bits, fewer than %d", public.N.BitLen(), minRSABits)
	}
	return a, nil
}

// Record returns the TXT record for a public key.
func Record(public crypto.PublicKey) (string, error) {
	var b []byte
	var err error
	switch key := public.(type) {
	case *rsa.PublicKey:
		b, err = x509.MarshalPKIXPublicKey(key)
	case ed25519.PublicKey:
		b = key
	default:
		err = fmt.Errorf("a key of type %T is not supported, only RSA and Ed25519 keys", public)
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
