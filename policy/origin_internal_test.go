package policy

import (
	"net/netip"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A message is internal if its client may send to all domains or has logged in, also if
// it is for an accepted domain. A client that only claims a sender of the organization is
// not internal.
func TestOriginInternal(t *testing.T) {
	for name, c := range map[string]struct {
		client, login string
		grant         Right
		want          bool
	}{
		"a stranger": {client: stranger},
		"a stranger with the rights of a partner":               {client: stranger, grant: Partners},
		"a network that may relay":                              {client: neighbour, want: true},
		"a stranger that has logged in":                         {client: stranger, login: "C: AUTH PLAIN AGFsaWNlAGVjaWxh\nS: 235\n", want: true},
		"a host that is trusted like those of the organization": {client: stranger, grant: ExternallySecured, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := organization()
			if c.grant != 0 {
				g.Grants = append(g.Grants, Grant{To: Clients{Networks: []netip.Prefix{netip.MustParsePrefix(stranger + "/32")}}, Rights: c.grant})
			}
			srv, out := install(t, g, &smtpserver.Server{Auth: passwords(), AllowInsecureAuth: true})
			srv.Talk(t, c.client, "S: 220\nC: EHLO client.example\nS: 250\n"+c.login+"C: MAIL FROM:<alice@example.com>\nS: 250\nC: RCPT TO:<alice@example.com>\nS: 250\n"+body+"S: 250\n")
			if o := out.only(t).Origin; o.Internal != c.want || o.ServerAddr == "" || o == (queue.Origin{}) {
				t.Errorf("%+v, want internal %t", o, c.want)
			}
		})
	}
}
