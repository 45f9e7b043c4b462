package milter

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
)

// A milter gets the HELO name of a device in its safe form, at HELO and when it
// gets an earlier HELO later.
func TestHeloOfADevice(t *testing.T) {
	f := startFake(t, &fake{})
	c := agenttest.Start(t, (&Client{Address: f.addr}).Agent()).Connect(t)
	c.Read()
	c.Want(250, `EHLO my "printer"`)
	if code, text := c.Send("a@example.org", []string{"b@example.com"}, message); code != 250 {
		t.Fatal(code, text)
	}
	if got := f.commands(); got[0] != "H my%20%22printer%22" {
		t.Errorf("the milter heard %q", got)
	}
}
