package dkimsig

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"reflect"
	"strings"
	"testing"
)

// Each occurrence of a name selects one field, from the bottom upwards. A name
// without a field selects nothing.
func TestSelect(t *testing.T) {
	fields, err := ReadFields(bufio.NewReader(strings.NewReader("A: 1\r\nB: 2\r\na : 3\r\nA: 4\r\nno field\r\n: nameless\r\n\u212a: 5\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	h := NewHeader(fields)
	for _, c := range []struct {
		names, want string
		except      []byte
	}{
		{"a", "A: 4", nil},
		{"A b a", "A: 4|B: 2|a : 3", nil},
		{"a a a a x a", "A: 4|a : 3|A: 1", nil},
		{"a a a", "A: 4|A: 1", fields[2]},
		{"a b", "a : 3|B: 2", fields[3]},
		{"k", "", nil}, // U+212A is not an ASCII letter
		{"", "", nil},
	} {
		var got []string
		for _, f := range h.Select(strings.Split(c.names, " "), c.except) {
			got = append(got, strings.TrimSuffix(string(f), "\r\n"))
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%s choose %q, want %q", c.names, got, c.want)
		}
	}
	if h.Count("a") != 3 || len(h.Named("b")) != 1 || h.Named("x") != nil || !IsNamed([]byte("a : x"), "a") || IsNamed([]byte("ab: x"), "a") {
		t.Error("fields are not found by name")
	}
}

func TestPublishedKeysAreRead(t *testing.T) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	record, err := Record(public)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseKey(strings.Replace(record, "p=", "n=a note; t=s; p=\t", 1))
	if err != nil || k.Algorithm() != "ed25519-sha256" || !k.Strict || k.Testing || !public.Equal(k.Key) || k.Record != record {
		t.Fatalf("%+v, %v", k, err)
	}
	if _, err := Record("no key"); err == nil {
		t.Error("a string was published as a key")
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=; t=s:y; h=sha256; s=email")
	f.Add("p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAOhaAZwPhAlLcy1zhaZUz9C+gG3Z7dwWTCzhinPkAMDLCrLeCMN8/u/+4sCtTgQk8HwxMsX3bqWlE2vigvdSpHUCAwEAAQ==")
	f.Fuzz(func(t *testing.T, record string) {
		k, err := ParseKey(record)
		if (err == nil) != (k != nil) || err == nil && k.Algorithm() == "" {
			t.Errorf("%+v, %v", k, err)
		}
		if err != nil {
			return
		}
		again, err := ParseKey(k.Record)
		if err != nil || !reflect.DeepEqual(again.Key, k.Key) || again.Record != k.Record {
			t.Errorf("%q is another key than %q: %v", k.Record, record, err)
		}
	})
}
