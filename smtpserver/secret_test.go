package smtpserver

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
)

// The secret stays the same if the host has a machine ID or a certificate.
func TestDefaultSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "machine-id")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	config := func(key crypto.PrivateKey) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{{PrivateKey: key}}}
	}
	secret := func(c *tls.Config) []byte { return stableSecret("salts", []string{file + "2", file}, c) }

	write("0123456789abcdef0123456789abcdef\n")
	id := secret(nil)
	if !bytes.Equal(id, secret(config(ec))) {
		t.Error("with a machine ID, a new private key changes the secret")
	}
	if bytes.Equal(id, stableSecret("others", []string{file}, nil)) {
		t.Error("two uses have one secret")
	}
	write("fedcba9876543210fedcba9876543210\n")
	if bytes.Equal(id, secret(nil)) {
		t.Error("two hosts have one secret")
	}
	for _, none := range []string{"", "uninitialized\n", "0123\n"} { // machine-id(5)
		write(none)
		ofEC, ofEd := secret(config(ec)), secret(config(ed))
		if !bytes.Equal(ofEC, secret(config(ec))) || !bytes.Equal(ofEd, secret(config(ed))) || bytes.Equal(ofEC, ofEd) {
			t.Errorf("machine ID %q: the secret is not that of the private key", none)
		}
		for _, c := range []*tls.Config{nil, {}, config(nil), config(closedKey{ec})} {
			if a, b := secret(c), secret(c); len(a) != 32 || bytes.Equal(a, b) || bytes.Equal(a, make([]byte, 32)) {
				t.Errorf("machine ID %q, no key: secrets %x and %x", none, a, b)
			}
		}
	}
}

// closedKey is a private key that cannot be read, like one in a hardware
// device.
type closedKey struct{ crypto.Signer }
