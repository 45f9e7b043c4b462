package dsn

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/emersion/go-smtp"
)

// Texts are the texts of a report's part for people, in any language. An empty
// or missing text is replaced by the English one.
type Texts struct {
	// Language of the texts, for Content-Language. Default "en".
	Language string
	// Subject has the beginning of the Subject field for each Action. The
	// Action of the first recipient selects it. ": " and the original's subject
	// follow.
	Subject map[Action]string
	// Intro has the paragraph before the recipients with an Action.
	Intro map[Action]string
	// Status explains status codes and says what the sender can do. The keys
	// for status 5.1.1 are, in this order, "5.1.1", "X.1.1", "5.1", "X.1" and
	// "5"; the first that exists is used.
	Status map[string]string
	// RemoteSaid is the line before the reply of the remote host. "%s" is
	// replaced by the host's name.
	RemoteSaid string
	// Reason is the line with Recipient.Reason. "%s" is replaced by the reason.
	Reason string
	// RetryUntil is the line with Recipient.RetryUntil. "%s" is replaced by the
	// time.
	RetryUntil string
	// Closing is the last line. "%s" is replaced by the name of the reporting
	// host.
	Closing string
}

// english has the default texts.
var english = Texts{
	Language: "en",
	Subject: map[Action]string{
		Failed:    "Undeliverable",
		Delayed:   "Delayed",
		Delivered: "Delivered",
		Relayed:   "Relayed",
		Expanded:  "Expanded",
	},
	Intro: map[Action]string{
		Failed:    "Your message could not be delivered to the following recipients.",
		Delayed:   "Your message has not been delivered to the following recipients yet.\nYou do not need to send it again. The mail system will keep trying.",
		Delivered: "Your message was delivered to the following recipients.",
		Relayed:   "Your message was passed on to the mail system of the following recipients.\nThat system does not confirm delivery.",
		Expanded:  "Your message was distributed to the members of the following mailing lists.",
	},
	Status: map[string]string{
		"X.1.1":  "The address does not exist at the recipient's mail system. Check the spelling and send the message again.",
		"X.1.2":  "The part of the address after the @ does not exist or does not accept mail. Check the spelling.",
		"X.1.3":  "The address is not written correctly. Check it for characters that do not belong there.",
		"X.1.4":  "The address matches more than one recipient. Ask the recipient for a different address.",
		"X.1.10": "The part of the address after the @ does not accept mail. Use another address of the recipient.",
		"X.1":    "The address was not accepted. Check it and send the message again.",
		"X.2.1":  "The mailbox is disabled or does not accept messages now. Contact the recipient another way.",
		"X.2.2":  "The recipient's mailbox is full. Ask the recipient to free some space, then send the message again.",
		"X.2.3":  "The message is too large for this recipient. Send it without attachments, or share the files another way.",
		"X.2":    "The recipient's mailbox did not accept the message.",
		"X.3.1":  "The recipient's mail system has no room for messages now. Try again later.",
		"X.3.2":  "The recipient's mail system does not accept messages now. Try again later.",
		"X.3.3":  "The recipient's mail system does not support a feature that the message needs.",
		"X.3.4":  "The message is too large for the recipient's mail system. Send it without attachments, or share the files another way.",
		"X.3.5":  "The mail server would send mail for this address back to itself. Its administrator must correct the configuration.",
		"X.3":    "The recipient's mail system has a problem. Please inform its administrator.",
		"X.4.1":  "The recipient's mail server does not answer.",
		"X.4.2":  "The connection to the recipient's mail server was interrupted.",
		"X.4.3":  "The recipient's mail server could not be looked up.",
		"X.4.4":  "The mail system does not know how to reach the recipient's mail server. Check the part of the address after the @.",
		"X.4.6":  "The message was in a mail loop: mail servers sent it back and forth. Their administrators must correct the configuration.",
		"4.4.7":  "The message could not be delivered within the time limit. Send it again later, or contact the recipient another way.",
		"X.4.7":  "The message could not be delivered within the time limit. Send it again later, or contact the recipient another way.",
		"X.4.8":  "The message would have come back to a mail server that it had already passed. The administrator must correct the configuration.",
		"X.4":    "The recipient's mail server could not be reached.",
		"X.5.2":  "The two mail servers did not understand each other. If this happens again, inform the administrator.",
		"X.5.3":  "The message has more recipients than are allowed. Send it to fewer recipients at a time.",
		"X.5":    "The two mail servers did not understand each other.",
		"X.6":    "The recipient's mail system cannot process the content of the message.",
		"X.7.1":  "The recipient's mail system does not permit this message. The recipient's administrator can explain why.",
		"X.7":    "The message was refused for security reasons, or because you do not have permission to send it.",
		"5":      "The message was refused permanently. Sending it again without changes will not help.",
		"4":      "The problem may be temporary. Sending the message again later may help.",
	},
	RemoteSaid: "The mail server %s said:",
	Reason:     "Reason: %s",
	RetryUntil: "Delivery will be tried until %s.",
	Closing:    "This report was written by the mail system at %s.",
}

// English returns a copy of the default texts. The caller may change it.
func English() *Texts {
	t := english
	t.Subject = clone(english.Subject)
	t.Intro = clone(english.Intro)
	t.Status = clone(english.Status)
	return &t
}

func clone[K comparable](m map[K]string) map[K]string {
	c := make(map[K]string, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// explain returns the text for a status code.
func (t *Texts) explain(c smtp.EnhancedCode) string {
	class, subject, detail := strconv.Itoa(c[0]), strconv.Itoa(c[1]), strconv.Itoa(c[2])
	for _, key := range []string{
		class + "." + subject + "." + detail, "X." + subject + "." + detail,
		class + "." + subject, "X." + subject, class,
	} {
		if s := pick(t.Status, english.Status, key); s != "" {
			return s
		}
	}
	return ""
}

func pick[K comparable](own, fallback map[K]string, key K) string {
	if s := own[key]; s != "" {
		return s
	}
	return fallback[key]
}

func first(own, fallback string) string {
	if own != "" {
		return own
	}
	return fallback
}

// human writes the part for people. Its lines end in LF.
func (r *Report) human(b *strings.Builder) {
	t := r.texts()
	for _, action := range []Action{Failed, Delayed, Relayed, Delivered, Expanded} {
		opened := false
		for i := range r.Recipients {
			rc := &r.Recipients[i]
			if rc.Action != action {
				continue
			}
			if !opened {
				opened = true
				fmt.Fprintf(b, "%s\n\n", pick(t.Intro, english.Intro, action))
			}
			rc.human(b, t)
		}
	}
	fmt.Fprintf(b, first(t.Closing, english.Closing)+"\n", r.ReportingMTA)
}

func (rc *Recipient) human(b *strings.Builder, t *Texts) {
	fmt.Fprintf(b, "  %s\n", clean(rc.Final))
	if rc.Original != "" && rc.Original != rc.Final {
		fmt.Fprintf(b, "  (%s)\n", clean(rc.Original))
	}
	if rc.Action == Failed || rc.Action == Delayed {
		if s := t.explain(rc.Status); s != "" {
			fmt.Fprintf(b, "    %s\n", s)
		}
	}
	if rc.RemoteMTA != "" && rc.Diagnostic != "" {
		fmt.Fprintf(b, "    "+first(t.RemoteSaid, english.RemoteSaid)+"\n      %s\n", clean(rc.RemoteMTA), clean(rc.Diagnostic))
	} else if s := first(rc.Reason, rc.Diagnostic); s != "" {
		fmt.Fprintf(b, "    "+first(t.Reason, english.Reason)+"\n", clean(s))
	}
	if rc.Action == Delayed && !rc.RetryUntil.IsZero() {
		fmt.Fprintf(b, "    "+first(t.RetryUntil, english.RetryUntil)+"\n", rc.RetryUntil.Format(time.RFC1123Z))
	}
	b.WriteByte('\n')
}

func (r *Report) texts() *Texts {
	if r.Texts != nil {
		return r.Texts
	}
	return &english
}

// clean replaces control characters by blanks, so that untrusted text fits on
// one line.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == 0xfffd {
			return ' '
		}
		return c
	}, s)
}

// cleanLines replaces control characters in a text of several lines. Its lines
// end in LF.
func cleanLines(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) && c != '\n' && c != '\t' {
			return ' '
		}
		return c
	}, strings.ReplaceAll(s, "\r\n", "\n"))
}
