package dkim

import (
	"strings"
	"testing"

	msgauth "github.com/emersion/go-msgauth/dkim"
)

// go-msgauth verifies what we sign, and we what it signs, by the same
// messages as for the peers in programs of their own.
func TestMsgauth(t *testing.T) {
	for algorithm, private := range algorithms {
		key := Key{Domain: "example.org", Selector: "s1", Private: private()}
		record, err := key.Record()
		if err != nil {
			t.Fatal(err)
		}
		v, _ := newVerifier(t, zoneOf(t, nil, key))
		for name, message := range awkward {
			for _, simple := range []bool{false, true} {
				form := msgauth.Canonicalization("relaxed")
				if simple {
					form = "simple"
				}
				signed := sign(t, &Signer{Keys: Keys(key), Simple: simple}, message)
				theirs, err := msgauth.VerifyWithOptions(strings.NewReader(signed), &msgauth.VerifyOptions{
					LookupTXT: func(string) ([]string, error) { return []string{record}, nil }})
				if err != nil || len(theirs) != 1 || theirs[0].Err != nil {
					t.Errorf("go-msgauth, %s, %s, %s: %+v, %v", algorithm, name, form, theirs, err)
				}
				var b strings.Builder
				err = msgauth.Sign(&b, strings.NewReader(message), &msgauth.SignOptions{
					Domain: key.Domain, Selector: key.Selector, Signer: key.Private, HeaderCanonicalization: form, BodyCanonicalization: form})
				if err != nil {
					t.Fatal(err)
				}
				if verdict, err := v.Verify(t.Context(), strings.NewReader(b.String())); err != nil || verdict.Result() != Pass {
					t.Errorf("signed by go-msgauth, %s, %s, %s: %+v, %v", algorithm, name, form, verdict, err)
				}
			}
		}
	}
}
