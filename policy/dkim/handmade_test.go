package dkim

import (
	"bufio"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
)

// resign makes the signature that belongs into a field that was parsed.
func (c *candidate) resign(t *testing.T, key Key, message string) string {
	t.Helper()
	fields, err := dkimsig.ReadFields(bufio.NewReader(strings.NewReader(message)))
	if err != nil {
		t.Fatal(err)
	}
	hash := dkimsig.NewHeaderHash(c.header)
	hash.AddNames(dkimsig.NewHeader(fields), c.Fields)
	sig, err := dkimsig.Sign(key.Private, hash.Sum(dkimsig.WithoutValue(c.field, c.bStart, c.bEnd)))
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(sig)
}
