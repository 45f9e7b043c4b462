package arc

import (
	"context"
	"strings"
	"testing"

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
		"Verify, seal": func(s string) {
			(&Verifier{Resolver: noKeys}).Verify(context.Background(), strings.NewReader("ARC-Seal: i=1; "+s+"\r\n\r\nx\r\n"))
		},
	}, doubling.Units)
}
