package policy

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The state of [Greylist] and [Reputation] is saved as a line with the kind and
// version, records of equal length, and the SHA-256 of all that.

const savedSum = 2 * sha256.Size // in hexadecimal

// writeSaved writes b, which begins with that line, and its SHA-256.
func writeSaved(w io.Writer, b []byte) error {
	sum := sha256.Sum256(b)
	_, err := w.Write(append(b, hex.EncodeToString(sum[:])...))
	return err
}

// readSaved returns the records after the line magic. Each has record bytes,
// and there may be at most most of them. Damaged data is an error.
func readSaved(r io.Reader, what, magic string, record, most int) ([]byte, error) {
	limit := int64(len(magic) + record*most + savedSum)
	b, err := io.ReadAll(io.LimitReader(bufio.NewReader(r), limit+1))
	if err != nil {
		return nil, fmt.Errorf("policy: reading a %s: %w", what, err)
	}
	end := len(b) - savedSum
	switch {
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("policy: the saved %s has more entries than Max", what)
	case end < len(magic) || !strings.HasPrefix(string(b[:len(magic)]), magic) || (end-len(magic))%record != 0:
		return nil, errors.New("policy: not a saved " + what)
	}
	if sum := sha256.Sum256(b[:end]); hex.EncodeToString(sum[:]) != string(b[end:]) {
		return nil, fmt.Errorf("policy: the saved %s is damaged", what)
	}
	return b[len(magic):end], nil
}
