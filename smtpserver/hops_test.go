package smtpserver_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A message with more Received fields than Limits.Hops is refused. The field
// that the client added does not count, because the client accepted the message
// before it added the field.
func TestHops(t *testing.T) {
	const (
		other  = "Received: from a by b; Sat, 28 Nov 2026 11:00:00 +0000\r\n"
		client = "Received: from a (by x)\r\n\tby Relay.Example.com with ESMTP id 1; Sat, 28 Nov 2026 11:00:00 +0000\r\n"
	)
	for _, tt := range []struct {
		name   string
		limit  int
		fields string
		want   string
	}{
		{"none", 0, "", "250"},
		{"thirty", 0, strings.Repeat(other, 30), "250"},
		{"thirty-one", 0, strings.Repeat(other, 31), "554 5.4.6"},
		{"thirty, and the client's", 0, client + strings.Repeat(other, 30), "250"},
		{"thirty-one, and the client's", 0, client + strings.Repeat(other, 31), "554 5.4.6"},
		{"thirty, and two of the client's", 0, client + client + strings.Repeat(other, 30), "554 5.4.6"},
		{"the client's below another", 0, other + client + strings.Repeat(other, 29), "554 5.4.6"},
		{"another limit", 3, strings.Repeat(other, 4), "554 5.4.6"},
		{"a field without a by", 3, "Received: x\r\n" + strings.Repeat(other, 3), "554 5.4.6"},
		{"no limit", -1, strings.Repeat(other, 200), "250"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := smtptest.NewServer(t, &smtpserver.Server{Limits: smtpserver.Limits{Hops: tt.limit}})
			smtptest.Talk(t, srv.Addr, "S: 220\nC: EHLO relay.example.com\nS: 250\nC: MAIL FROM:<a@example.net>\nS: 250\nC: RCPT TO:<b@example.org>\nS: 250\nC: DATA\nS: 354\nR: "+
				fmt.Sprintf("%q", tt.fields+"Subject: x\r\n\r\nx\r\n.\r\n")+"\nS: "+tt.want)
		})
	}
}
