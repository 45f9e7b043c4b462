package oauth

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// maxFile is the largest size of a file with a secret, in bytes.
const maxFile = 64 << 10

// ReadSecret reads the first line of a file, as for [Microsoft.Secret].
func ReadSecret(path string) (Secret, error) {
	text, err := readPrivate(path)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return "", fmt.Errorf("%s: the first line is empty", path)
	}
	return Secret(line), nil
}

// ReadKey reads a file with the key of a service account, for [Google.Key].
func ReadKey(path string) (Secret, error) {
	text, err := readPrivate(path)
	return Secret(text), err
}

// ReadCertificate reads a PEM file with a certificate and its key, for
// [Microsoft.Certificate].
func ReadCertificate(path string) (*tls.Certificate, error) {
	text, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &cert, nil
}

// readPrivate reads a file that only its owner may read (mode 0600 or less). The files
// of systemd's LoadCredential may have the mode 0440: their folder is private.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	folder := os.Getenv("CREDENTIALS_DIRECTORY")
	credential := folder != "" && filepath.Dir(filepath.Clean(path)) == filepath.Clean(folder)
	mode := info.Mode()
	if mode.IsRegular() && mode.Perm()&0o077 != 0 && !credential && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s: users other than its owner can read or write it (mode %04o, want 0600)", path, mode.Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errors.New(path + ": longer than 64 KiB")
	}
	return bytes.TrimPrefix(text, []byte("\ufeff")), err
}
