package dkim

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// A body with 64 KiB of white space is read twice. If that is not possible, the
// result is Policy, and the message is not signed.
func TestBlankBodyOfStream(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: edKey()}
	signer := &Signer{Keys: Keys(key)}
	v, _ := newVerifier(t, zoneOf(t, nil, key))
	message := plainMessage + strings.Repeat("\r\n", maxBlank) + "x"
	signed := sign(t, signer, message) // of a strings.Reader
	stream := func(s string) io.Reader { return struct{ io.Reader }{strings.NewReader(s)} }
	for name, c := range map[string]struct {
		r    io.Reader
		want Result
	}{"seeker": {strings.NewReader(signed), Pass}, "stream": {stream(signed), Policy}} {
		verdict, err := v.Verify(t.Context(), c.r)
		if err != nil || verdict.Result() != c.want && verdict.Signatures[0].Result != c.want {
			t.Errorf("%s: %+v, %v; want %s", name, verdict, err, c.want)
		}
	}
	var limit limitError
	if _, err := signer.Sign(t.Context(), "example.org", stream(message)); !errors.As(err, &limit) {
		t.Errorf("signing a stream: %v", err)
	}
}
