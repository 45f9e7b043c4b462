package dkim

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
)

// noKeys is a Resolver that finds nothing.
var noKeys = resolver.Func(func(_ context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	return nil, &resolver.Error{Problem: resolver.NoSuchName, Name: name, Type: t}
})

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"Verify": func(s string) { (&Verifier{Resolver: noKeys}).Verify(context.Background(), strings.NewReader(s)) },
		"Verify, header": func(s string) {
			(&Verifier{Resolver: noKeys}).Verify(context.Background(), strings.NewReader(s+"\r\n\r\nx\r\n"))
		},
		"Verify, body": func(s string) {
			(&Verifier{Resolver: noKeys}).Verify(context.Background(), strings.NewReader("DKIM-Signature: v=1; a=rsa-sha256; d=a; s=a; h=from; bh=a; b=a\r\nFrom: a@b\r\n\r\n"+s))
		},
		"parse":           func(s string) { parse([]byte("DKIM-Signature: "+s), time.Unix(1e9, 0)) },
		"ParsePrivateKey": func(s string) { ParsePrivateKey([]byte(s)) },
	}, doubling.Units)
}
