package smtpserver

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"os"
)

// machineIDs returns the files in which a Linux host has its machine ID: 128
// random bits that it keeps (machine-id(5)).
func machineIDs() []string { return []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} }

// lastingSecret returns a key that strangers do not know and that is the same
// after a restart, for a use that label names. It is derived from the machine ID
// in one of the files, as machine-id(5) asks, or without one from the private
// key of the first certificate. It is random if there is neither.
func lastingSecret(label string, files []string, c *tls.Config) []byte {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if id, bad := hex.DecodeString(string(bytes.TrimSpace(text))); err == nil && bad == nil && len(id) == 16 {
			return hmacSHA256(id, label)
		}
	}
	if c != nil && len(c.Certificates) > 0 {
		// A key that its owner does not give away has no such form.
		if key, err := x509.MarshalPKCS8PrivateKey(c.Certificates[0].PrivateKey); err == nil {
			return hmacSHA256(key, label)
		}
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails
	return key
}
