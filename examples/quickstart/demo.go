package main

import (
	"context"
	"fmt"
	"time"
)

// demo runs a few sessions with the relay. After each message it waits for a
// delivery: of the message, or of the report about it.
func demo(ctx context.Context, relay string, delivered <-chan struct{}, out *printer) error {
	for _, step := range []struct {
		title string
		talk  func(c *client)
		sends bool // it sends a message, which must be delivered
	}{
		{"1. A client from the internet sends mail to bob: accepted", func(c *client) {
			c.say("EHLO mx."+internetDomain, "250")
			c.message("carol@"+internetDomain, "bob@"+organizationDomain, `From: Carol <carol@example.net>
To: Bob <bob@example.com>
Subject: Lunch?

Dear Bob,
how about Thursday?
`)
		}, true},
		{"2. A client from the internet sends mail to another domain: refused", func(c *client) {
			c.say("EHLO stranger.example.org", "250")
			c.say("MAIL FROM:<stranger@example.org>", "250")
			c.say("RCPT TO:<carol@"+internetDomain+">", "550 5.7.1")
			c.say("RCPT TO:<mallory@"+organizationDomain+">", "550 5.1.1")
		}, false},
		{"3. Alice logs in and sends mail to the internet: accepted", func(c *client) {
			c.asAlice()
			c.message("alice@"+organizationDomain, "carol@"+internetDomain, `From: Alice <alice@example.com>
To: Carol <carol@example.net>
Subject: Thursday

Bob cannot come. May I?
`)
		}, true},
		{"4. Alice sends mail to an unknown mailbox: she gets a report", func(c *client) {
			c.asAlice()
			c.message("alice@"+organizationDomain, "unknown@"+internetDomain, `From: Alice <alice@example.com>
To: unknown@example.net
Subject: Thursday

And you?
`)
		}, true},
	} {
		out.title("%s", step.title)
		c := dial(relay, out)
		c.say("", "220")
		step.talk(c)
		if err := c.quit(); err != nil {
			return fmt.Errorf("session %q: %w", step.title, err)
		}
		if !step.sends {
			continue
		}
		select {
		case <-delivered:
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Second):
			return fmt.Errorf("%q: no message was delivered", step.title)
		}
	}
	out.note("\nAll mail is delivered; the queue is empty.")
	return nil
}

// asAlice greets the relay and logs in.
func (c *client) asAlice() {
	c.say("EHLO laptop."+organizationDomain, "250")
	c.startTLS()
	c.say("EHLO laptop."+organizationDomain, "250")
	c.authPlain(account, accountPassword)
}
