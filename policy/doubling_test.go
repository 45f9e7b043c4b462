package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"ParseNetworks": func(s string) { ParseNetworks(s) },
		"ParseNetwork":  func(s string) { ParseNetwork(s) },
		"ReadNetworks":  func(s string) { ReadNetworks(strings.NewReader(s)) },
		"FileDirectory": func(s string) { new(FileDirectory).parse(strings.NewReader(s)) },
		"AliasFile":     func(s string) { new(AliasFile).parse(strings.NewReader(s)) },
		"greylist":      func(s string) { new(Greylist).Load(strings.NewReader(s)) },
		"reputation":    func(s string) { new(Reputation).Load(strings.NewReader(s)) },
	}, append([]string{"192.0.2.1\n", "192.0.2.0/24,", "192.0.2.1-192.0.2.9 ", "::1\n", "{\"a\":1}\n", "[[", "{\"a\":", "a@example.com\n", "a # b\n"}, doubling.Units...))
}

// Twice the entries of a file take about twice the time to load, also if all have the
// same key.
func TestDoublingEntries(t *testing.T) {
	load := func(t *testing.T, err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	doubling.Time(t, map[string]func(string){
		"greylist": func(s string) {
			load(t, new(Greylist).Load(saved(s, greyMagic, greyRecord, true)))
		},
		"FileDirectory, addresses": func(s string) { new(FileDirectory).parse(strings.NewReader(numbered(s, "u%d@example.com\n"))) },
		"AliasFile, entries": func(s string) {
			new(AliasFile).parse(strings.NewReader(numbered(s, "u%d@example.com: x@example.com\n")))
		},
		"AliasFile, members": func(s string) {
			new(AliasFile).parse(strings.NewReader("g@example.com: x@example.com\n" + numbered(s, " m%d@example.com,\n")))
		},
		"greylist, one key": func(s string) {
			load(t, new(Greylist).Load(saved(s, greyMagic, greyRecord, false)))
		},
		"reputation": func(s string) {
			load(t, (&Reputation{Max: 1 << 20}).Load(saved(s, reputationMagic, reputationRecord, true)))
		},
		"reputation, one key": func(s string) {
			load(t, new(Reputation).Load(saved(s, reputationMagic, reputationRecord, false)))
		},
	}, []string{"a", "\x00", "\xff"})
}

// saved returns a saved file whose entries have the bytes of s. Each has its own key,
// if distinct is set.
func saved(s, magic string, record int, distinct bool) *bytes.Buffer {
	b := []byte(magic + s[:len(s)/record*record])
	if distinct {
		for at := len(magic); at < len(b); at += record {
			key := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(at)))
			copy(b[at:at+16], key[:])
		}
	}
	w := new(bytes.Buffer)
	writeSaved(w, b) // a Buffer has no errors
	return w
}

// numbered returns a text about as long as s that repeats line with different numbers.
func numbered(s, line string) string {
	var b strings.Builder
	for n := 0; b.Len() < len(s); n++ {
		fmt.Fprintf(&b, line, n)
	}
	return b.String()
}
