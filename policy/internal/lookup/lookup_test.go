package lookup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
)

type answer struct {
	txts []string
	err  error
}

func (a answer) Lookup(_ context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	if strings.HasSuffix(name, ".") || t != resolver.TypeTXT {
		return nil, errors.New("not the form of a name that a Resolver gets")
	}
	return &resolver.Answer{TXT: a.txts}, a.err
}

func TestTXT(t *testing.T) {
	absent := &resolver.Error{Problem: resolver.NoSuchName, Name: "x.example"}
	broken := &net.DNSError{Err: "server misbehaving", Name: "x.example.", Server: "10.1.2.3:53", IsTemporary: true}
	for _, c := range []struct {
		name   string
		answer answer
		n      int
		fails  bool
	}{
		{"x.example", answer{txts: []string{"a", "b"}}, 2, false},
		{"x.example.", answer{txts: []string{"a"}}, 1, false},
		{"x.example", answer{err: absent}, 0, false},
		{"x.example", answer{err: &resolver.Error{Problem: resolver.AliasLoop, Name: "x.example"}}, 0, true},
		{"x.example", answer{err: &net.DNSError{Err: "no such host", Name: "x.example.", IsNotFound: true}}, 0, false},
		{"x.example", answer{err: fmt.Errorf("wrapped: %w", absent)}, 0, false},
		{"x.example", answer{err: broken}, 0, true},
		{"x.example", answer{err: errors.New("no DNS error at all")}, 0, true},
		{"x.example", answer{txts: []string{"partly"}, err: broken}, 0, true},
		{"x..example", answer{err: broken}, 0, false}, // an invalid name: no query
		{strings.Repeat("x", 64) + ".example", answer{err: broken}, 0, false},
		{strings.Repeat("x.", 127) + "example", answer{err: broken}, 0, false},
		{"", answer{err: broken}, 0, false},
	} {
		txts, err := TXT(t.Context(), c.answer, c.name)
		if len(txts) != c.n || (err != nil) != c.fails {
			t.Errorf("%.20s with %+v: %q, %v", c.name, c.answer, txts, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := TXT(ctx, answer{txts: []string{"a"}}, "x.example"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// The text does not contain the addresses of our DNS servers.
func TestPublicText(t *testing.T) {
	broken := &net.DNSError{Err: "server misbehaving", Name: "x.example.", Server: "10.1.2.3:53", IsTemporary: true}
	for want, err := range map[string]error{
		"":                                   nil,
		"plain":                              errors.New("plain"),
		"one; two":                           errors.Join(errors.New("one"), errors.New("two")),
		"no answer from DNS about x.example": fmt.Errorf("key: %w", errors.Join(errors.New("x"), broken)),
		"no answer from DNS about y.example": &resolver.Error{Name: "y.example", Detail: "10.1.2.3:53", Err: broken},
	} {
		if got := PublicText(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
