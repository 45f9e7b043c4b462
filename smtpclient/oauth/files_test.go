package oauth

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file with a secret is only for its owner.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(text string, mode os.FileMode) string {
		path := filepath.Join(dir, "f")
		os.Remove(path)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		text string
		mode os.FileMode
		want string
		err  string
	}{
		{"s3cr3t\nmore", 0o600, "s3cr3t", ""},
		{"\ufeffs3cr3t\r\n", 0o400, "s3cr3t", ""},
		{"s3cr3t", 0o640, "", "mode 0640, want 0600"},
		{"s3cr3t", 0o604, "", "mode 0604, want 0600"},
		{"s3cr3t", 0o620, "", "mode 0620, want 0600"},
		{"\ns3cr3t", 0o600, "", "first line is empty"},
		{strings.Repeat("s3cr3t", maxFile), 0o600, "", "longer than 64 KiB"},
	} {
		got, err := ReadSecret(file(tt.text, tt.mode))
		if string(got) != tt.want || (err == nil) != (tt.err == "") || err != nil && (!strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "s3cr3t")) {
			t.Errorf("mode %o: %q, %v; want %q", tt.mode, string(got), err, tt.err)
		}
	}
	// A credential of systemd has the mode 0440, in a folder of the service.
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if got, err := ReadSecret(file("s3cr3t", 0o440)); got != "s3cr3t" || err != nil {
		t.Error(err)
	}
	if _, err := ReadSecret(filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Error(err)
	}
	if key, err := ReadKey(file("{}", 0o600)); key != "{}" || err != nil {
		t.Error(err)
	}
	key, cert := keyPair(t)
	both := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	if got, err := ReadCertificate(file(both, 0o600)); err != nil || !key.Equal(got.PrivateKey) {
		t.Error(err)
	}
	if _, err := ReadCertificate(file("s3cr3t", 0o600)); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Error(err)
	}
}
