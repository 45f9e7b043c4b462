package smtpserver

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"os"
)

// machineIDs returns the files that contain the machine ID of a Linux host: 128
// random bits that do not change (machine-id(5)).
func machineIDs() []string { return []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} }

// stableSecret returns a secret key that stays the same after a restart. label
// names the use of the key. The key is derived from the machine ID in one of
// the files, as machine-id(5) recommends, or else from the private key of the
// first certificate. If there is neither, the key is random.
func stableSecret(label string, files []string, c *tls.Config) []byte {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if id, bad := hex.DecodeString(string(bytes.TrimSpace(text))); err == nil && bad == nil && len(id) == 16 {
			return hmacSHA256(id, label)
		}
	}
	if c != nil && len(c.Certificates) > 0 {
		// A key in hardware cannot be marshaled.
		if key, err := x509.MarshalPKCS8PrivateKey(c.Certificates[0].PrivateKey); err == nil {
			return hmacSHA256(key, label)
		}
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails
	return key
}
