package antispam

import (
	"flag"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
)

// Filters are the settings of the filters for mail from the internet. A gateway that has
// them calls Define in its own Define, and Add in its Build.
type Filters struct {
	// Internal are the organization's own relays and firewalls that forward mail from
	// outside. The greylist, the limits and the reputation do not apply to them.
	Internal program.Networks

	prefix string // of the names of the settings

	scan struct {
		rspamd, spamassassin, clamd             string
		spamDown, virusDown                     word
		spamMaxSize, virusMaxSize               program.Size
		spamTimeout, virusTimeout               time.Duration
		virusOversize                           word
		markLevel, quarantineLevel, rejectLevel int
		markSubject                             string
		virusOutgoing                           bool
	}
	quarantine  string
	milters     program.Records
	attachments struct {
		names, types       program.List
		action, unreadable word
		outgoing           bool
	}
	rules      string
	disclaimer struct {
		text, html string
		from, to   program.List
	}
	greylist struct {
		delay, window time.Duration
		knownAfter    int
	}
	rates      program.Records
	reputation struct {
		blockLevel int
		blockTime  time.Duration
		minPoints  int
	}
	tarpit struct{ delay, max time.Duration }
	exempt program.Networks
	state  string

	built built
}

// downWords are the actions for mail while a scanner or milter fails.
var downWords = []string{"defer", "accept"}

// Define defines the flags. Their names begin with prefix, usually "filters.".
func (f *Filters) Define(fs *flag.FlagSet, prefix string) {
	f.prefix = prefix
	f.defineScan(fs)
	f.defineContent(fs)
	f.defineClients(fs)
}

func (f *Filters) defineScan(fs *flag.FlagSet) {
	s, p := &f.scan, f.prefix
	fs.StringVar(&s.rspamd, p+"scan.rspamd", "", "`address` of rspamd's proxy worker, which must have milter = yes, as 127.0.0.1:11332, or the path\nof its Unix socket. rspamd's own configuration says what is refused. Default: none")
	fs.StringVar(&s.spamassassin, p+"scan.spamassassin", "", "`address` of SpamAssassin's spamd, as 127.0.0.1:783, or the path of its Unix socket; default: none")
	fs.StringVar(&s.clamd, p+"scan.clamd", "", "`address` of ClamAV's clamd, as 127.0.0.1:3310, or the path of its Unix socket. Infected mail is\nrefused. Default: none")
	s.spamDown.define(fs, p+"scan.spam-down", "mail while a spam scanner fails", downWords...)
	s.virusDown.define(fs, p+"scan.virus-down", "mail while the virus scanner fails", downWords...)
	fs.Var(&s.spamMaxSize, p+"scan.spam-max-size", "`size` of the largest message that spamd scans; larger ones pass without a level; default 500K")
	fs.Var(&s.virusMaxSize, p+"scan.virus-max-size", "`size` of the largest message that clamd scans, which its StreamMaxLength must allow; default 25M")
	fs.DurationVar(&s.spamTimeout, p+"scan.spam-timeout", 0, "longest `time` for the answer of a spam scanner, from 1s to 9m, after which it has failed; default 5m for\nrspamd and 2m for spamd")
	fs.DurationVar(&s.virusTimeout, p+"scan.virus-timeout", 0, "longest `time` for the answer of clamd, from 1s to 9m, after which it has failed; default 2m")
	s.virusOversize.define(fs, p+"scan.virus-oversize", "mail that is larger than scan.virus-max-size", "refuse", "accept")
	fs.BoolVar(&s.virusOutgoing, p+"scan.virus-outgoing", false, "scan the mail of the organization for viruses too")
	fs.IntVar(&s.markLevel, p+"scan.mark-level", 0, "spam confidence `level`, from 1 to 9, from which mail is marked with X-Spam-Flag: YES. Mail with\nSpamAssassin's required_score has level 5, with 1.8 times this score level 9. Default: never")
	fs.StringVar(&s.markSubject, p+"scan.mark-subject", "", "`text` before the subject of marked mail; default: none")
	fs.IntVar(&s.quarantineLevel, p+"scan.quarantine-level", 0, "spam confidence `level` from which mail goes to the quarantine address; default: never")
	fs.IntVar(&s.rejectLevel, p+"scan.reject-level", 0, "spam confidence `level` from which mail is refused; default: never")
	fs.StringVar(&f.quarantine, p+"quarantine", "", "`address` that gets the mail for which a level or a milter requests quarantine. Default: none;\nmail that a milter wants to quarantine is refused")
	f.milters.Fields = []string{"address", "down", "timeout"}
	fs.Var(&f.milters, p+"milters", "`address` of a milter, as 127.0.0.1:8891 or the path of a Unix socket. While it fails, mail is deferred,\nor with down=accept accepted. It fails if it does not answer within timeout=5m. Repeat the flag for more milters, in their order. Default: none")
}

func (f *Filters) defineContent(fs *flag.FlagSet) {
	a, p := &f.attachments, f.prefix
	fs.Var(&a.names, p+"attachments.names", "`patterns` for file names of attachments, also in archives, as *.exe,*.js; default: none")
	fs.Var(&a.types, p+"attachments.types", "`patterns` for media types of attachments, as application/x-msdownload,video/*; default: none")
	a.action.define(fs, p+"attachments.action", "mail with such an attachment; strip removes the attachment", "refuse", "strip")
	a.unreadable.define(fs, p+"attachments.unreadable", "mail with an attachment that cannot be checked, such as a damaged archive", "refuse", "accept")
	fs.BoolVar(&a.outgoing, p+"attachments.outgoing", false, "check the mail of the organization for attachments too")
	fs.StringVar(&f.rules, p+"rules", "", "`file` with transport rules; default: none")
	d := &f.disclaimer
	fs.StringVar(&d.text, p+"disclaimer.text", "", "`file` with a text, in UTF-8, that is added at the end of messages; default: none")
	fs.StringVar(&d.html, p+"disclaimer.html", "", "`file` with the HTML form of the disclaimer; default: made of the text")
	fs.Var(&d.from, p+"disclaimer.from", "`senders` whose messages get the disclaimer: addresses, domains, *.domains")
	fs.Var(&d.to, p+"disclaimer.to", "`recipients` whose messages get the disclaimer: addresses, domains, *.domains")
}

func (f *Filters) defineClients(fs *flag.FlagSet) {
	p := f.prefix
	fs.DurationVar(&f.greylist.delay, p+"greylist.delay", 0, "`time` before the first mail of an unknown client network, sender and recipient is accepted, as 5m;\ndefault: no greylist")
	fs.DurationVar(&f.greylist.window, p+"greylist.window", 0, "`time` within which the client must try again; default 48h")
	fs.IntVar(&f.greylist.knownAfter, p+"greylist.known-after", 0, "`number` of accepted senders and recipients after which a client network is not delayed; default 5,\n-1 for never")
	f.rates.Fields = []string{"by", "messages", "recipients", "per"}
	fs.Var(&f.rates, p+"rates", "`limit`, as \"address; messages=100; per=1h\": what counts together (address or network of the\nclient, sender, sender-domain), and how many messages or recipients are accepted in this time.\nRepeat the flag for more limits. Default: none")
	r := &f.reputation
	fs.IntVar(&r.blockLevel, p+"reputation.block-level", 0, "`level` of bad reputation, from 1 to 9, from which a client is refused, as 7; default: no reputation")
	fs.DurationVar(&r.blockTime, p+"reputation.block-time", 0, "`time` for which the client is refused; default 24h")
	fs.IntVar(&r.minPoints, p+"reputation.min-points", 0, "`number` of points, about one for a message, before a client has a reputation; default 20")
	fs.DurationVar(&f.tarpit.delay, p+"tarpit.delay", 0, "`time` by which the delay of the reply grows with each refusal in a session, as 5s;\ndefault: no delay")
	fs.DurationVar(&f.tarpit.max, p+"tarpit.max", 0, "longest `time` of this delay; default 30s")
	fs.Var(&f.exempt, p+"exempt", "`networks` of clients that the filters for spam and the limits do not apply to. Virus scan,\nattachments and rules still apply. Default: none")
	fs.StringVar(&f.state, p+"state", "", "`folder` where the greylist and the reputation are kept over a restart; default: filters in the\nfolder of -spool")
}
