package addr

import (
	"net/mail"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
)

// FuzzAgainstNetMail compares Mailbox with Go's net/mail. If Mailbox accepts an
// ASCII address, net/mail finds the same local part and domain. There are three
// intended differences:
//
//   - net/mail requires an atom on both sides of each dot of a local part. Mailbox
//     accepts dots anywhere, because only the host of the mailbox can decide.
//   - net/mail has no IPv6 address literals.
//   - net/mail refuses some quoted strings, such as an empty one.
func FuzzAgainstNetMail(f *testing.F) {
	for _, s := range []string{
		"user@example.org", `"a b"@example.org`, `"a\"b"@x`, `"a\\b"@x`, `""@x`, "a@[192.0.2.1]", "a@[IPv6:::1]",
		"jörg@bücher.example", "a@b_c.d", "a..b@x", ".a@x", "a@-x-", "a@x\uff1e\u3000y.example", "a@b@c", `"a"b@c`, "a!b%c@d",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if Mailbox(s, true) != nil || !chars.ASCII(s) {
			return
		}
		local, domain := Split(s)
		quoted, literal := strings.HasPrefix(local, `"`), strings.HasPrefix(domain, "[")
		a, err := mail.ParseAddress("<" + s + ">")
		if err != nil {
			dots := strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..")
			if !quoted && !literal && !dots {
				t.Fatalf("net/mail refuses %q: %v", s, err)
			}
			return
		}
		i := strings.LastIndexByte(a.Address, '@')
		if !literal && a.Address[i+1:] != domain {
			t.Fatalf("%q: net/mail has the domain %q, we have %q", s, a.Address[i+1:], domain)
		}
		want := local
		if quoted {
			want = unquote(local)
		}
		if a.Address[:i] != want {
			t.Fatalf("%q: net/mail has the local part %q, we have %q", s, a.Address[:i], want)
		}
	})
}

// unquote removes the quotes and backslashes of a Quoted-string.
func unquote(s string) string {
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// TestAgainstNetMail tests the other direction with a list. If net/mail accepts an
// address that Mailbox refuses, SMTP does not have this form.
func TestAgainstNetMail(t *testing.T) {
	for s, ours := range map[string]bool{
		"user@example.org":          true,
		`"a b"@example.org`:         true,
		"a@[192.0.2.1]":             true,
		"user@example.org.":         false, // a path may have the dot; it is removed
		"user @ example.org":        false, // RFC 5322: white space
		"user@(comment)example.org": false, // RFC 5322: a comment
		"user@exam!ple.org":         false, // atext that is not allowed in a host name
		`"a".b@example.org`:         false, // RFC 5322: obs-local-part
		"user@[300.0.2.1]":          false, // net/mail does not check literals
	} {
		if err := Mailbox(s, false); (err == nil) != ours {
			t.Errorf("Mailbox(%q): %v", s, err)
		}
	}
}
