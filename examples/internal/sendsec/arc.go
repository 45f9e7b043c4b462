package sendsec

import (
	"errors"
	"flag"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/arc"
)

// ARC is the setting for the Authenticated Received Chain (RFC 8617) of received mail.
type ARC struct {
	mode string
	name string // of the setting
}

// Define defines the setting PREFIXarc.
func (a *ARC) Define(f *flag.FlagSet, prefix string) {
	a.name = prefix + "arc"
	a.mode = "none"
	f.Var(program.Choice(&a.mode, "none", "check", "seal"), a.name, "`mode` of ARC: none, check (verify the chain of each message, for Authentication-Results), or seal\n(also add a set of this relay to the chain, with the DKIM key; many receivers accept only RSA)")
}

// Use checks the setting and adds ARC to a gate for received mail. signer is that of
// DKIM.Use. The chain is verified after the agents that gate.MailAuth has already, and
// the set is added after those that gate.Outbound has already. It contains the results
// of SPF, DKIM and DMARC if their agents run before.
func (a *ARC) Use(k *program.Kit, gate *policy.Gate, signer *Signer) {
	if a.mode != "none" {
		gate.MailAuth = append(gate.MailAuth, (&arc.Verifier{Resolver: k.Resolver}).Agent())
	}
	switch {
	case a.mode == "seal" && signer == nil:
		k.Fault(a.name, errors.New("seal needs the key of the DKIM signatures"))
	case a.mode == "seal":
		gate.Outbound = append(gate.Outbound, (&arc.Sealer{Key: signer.keys[0]}).Agent())
	}
}
