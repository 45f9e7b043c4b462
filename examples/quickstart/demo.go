package main

import (
	"context"
	"fmt"
	"time"
)

// demo holds a few sessions with the relay and waits for what comes of them:
// each message's story ends with a delivery, be it of the report about it.
func demo(ctx context.Context, relay string, delivered <-chan struct{}, out *printer) error {
	for _, chapter := range []struct {
		title string
		talk  func(c *client)
		sends bool // a message, which must arrive
	}{
		{"1. Somebody on the internet writes to bob: his domain is ours", func(c *client) {
			c.say("EHLO mx."+internetDomain, "250")
			c.message("carol@"+internetDomain, "bob@"+organizationDomain, `From: Carol <carol@example.net>
To: Bob <bob@example.com>
Subject: Lunch?

Dear Bob,
how about Thursday?
`)
		}, true},
		{"2. A stranger wants to reach somebody else through us: refused", func(c *client) {
			c.say("EHLO stranger.example.org", "250")
			c.say("MAIL FROM:<stranger@example.org>", "250")
			c.say("RCPT TO:<carol@"+internetDomain+">", "550 5.7.1")
			c.say("RCPT TO:<mallory@"+organizationDomain+">", "550 5.1.1")
		}, false},
		{"3. Alice logs in and writes to the internet", func(c *client) {
			c.say("EHLO laptop."+organizationDomain, "250")
			c.startTLS()
			c.say("EHLO laptop."+organizationDomain, "250")
			c.authPlain(account, accountPassword)
			c.message("alice@"+organizationDomain, "carol@"+internetDomain, `From: Alice <alice@example.com>
To: Carol <carol@example.net>
Subject: Thursday

Bob cannot come. May I?
`)
		}, true},
		{"4. Alice mistypes an address: the report comes back to her", func(c *client) {
			c.say("EHLO laptop."+organizationDomain, "250")
			c.startTLS()
			c.say("EHLO laptop."+organizationDomain, "250")
			c.authPlain(account, accountPassword)
			c.message("alice@"+organizationDomain, "nobody@"+internetDomain, `From: Alice <alice@example.com>
To: nobody@example.net
Subject: Thursday

And you?
`)
		}, true},
	} {
		out.title("%s", chapter.title)
		c := dial(relay, out)
		c.say("", "220")
		chapter.talk(c)
		if err := c.quit(); err != nil {
			return fmt.Errorf("session %q: %w", chapter.title, err)
		}
		if !chapter.sends {
			continue
		}
		select {
		case <-delivered:
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Second):
			return fmt.Errorf("%q: nothing has arrived", chapter.title)
		}
	}
	out.note("\nAll mail has ended; the queue is empty.")
	return nil
}
