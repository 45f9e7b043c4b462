package mtasts

import (
	"context"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
)

// A record that does not exist is no policy. After any other failure of the DNS,
// the error says that a policy may exist.
func TestLookupTXT(t *testing.T) {
	for problem, fails := range map[resolver.Problem]bool{
		resolver.NoSuchName: false, resolver.NoRecord: false, resolver.NotFound: false, resolver.BadName: false, resolver.AliasLoop: false,
		resolver.Failure: true, resolver.Unavailable: true,
	} {
		r := resolver.Func(func(_ context.Context, name string, rt resolver.Type) (*resolver.Answer, error) {
			return nil, &resolver.Error{Problem: problem, Name: name, Type: rt}
		})
		if texts, err := lookupTXT(t.Context(), r, "_mta-sts.example.com"); texts != nil || (err != nil) != fails {
			t.Errorf("%v: %q, %v", problem, texts, err)
		}
	}
}
