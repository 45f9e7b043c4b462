package dsn

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/emersion/go-smtp"
)

// Texts are the words of a report's part for people. Each of the strings may
// be in any language; where one is empty, the English one is used.
type Texts struct {
	// Language of the texts, for Content-Language. Default "en".
	Language string
	// Subject lines by the first recipient's Action; the original's subject
	// follows after ": ".
	Subject map[Action]string
	// Intro is the opening paragraph, by Action.
	Intro map[Action]string
	// Status explains status codes and says what to do: "5.1.1" is looked up
	// as "5.1.1", then "X.1.1", "5.1", "X.1" and "5".
	Status map[string]string
	// Labels before the remote host's words, our reason, the last attempt and the end of
	// the retries: each is a sentence's beginning with "%s" for the value.
	RemoteSaid, Reason, RetryUntil string
	// Closing ends the text, with "%s" for the reporting host.
	Closing string
}

// English are the default texts.
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
		Delayed:   "Your message has not been delivered yet to the following recipients.\nYou need not send it again; delivery will be tried further.",
		Delivered: "Your message was delivered to the following recipients.",
		Relayed:   "Your message was passed on to the mail system of the following recipients,\nwhich does not confirm delivery.",
		Expanded:  "Your message was distributed to the members of the following lists.",
	},
	Status: map[string]string{
		"X.1.1":  "The address does not exist there. Check its spelling and send the message again.",
		"X.1.2":  "The part of the address after the @ does not exist or takes no mail. Check its spelling.",
		"X.1.3":  "The address is not written as an address must be. Check it for stray characters.",
		"X.1.4":  "The address fits more than one recipient there. Ask the recipient for another one.",
		"X.1.10": "The domain says of itself that it takes no mail. Look for another address of the recipient.",
		"X.1":    "The address was not accepted. Check it and send the message again.",
		"X.2.1":  "The mailbox is switched off or takes no messages now. Reach the recipient another way.",
		"X.2.2":  "The recipient's mailbox is full. Ask them to make room and send the message again.",
		"X.2.3":  "The message is too long for this recipient. Send it without attachments, or share them another way.",
		"X.2":    "The recipient's mailbox did not take the message.",
		"X.3.1":  "The mail system there has no room for messages now. Try again later.",
		"X.3.2":  "The mail system there takes no messages now. Try again later.",
		"X.3.3":  "The mail system there cannot handle what the message needs.",
		"X.3.4":  "The message is too big for the mail system there. Send it without attachments, or share them another way.",
		"X.3.5":  "Mail for this address would come back to the same mail server for ever. The administrator must mend its configuration.",
		"X.3":    "The mail system there has a problem. Its administrator should know.",
		"X.4.1":  "The mail server of the recipient does not answer.",
		"X.4.2":  "The connection to the recipient's mail server broke off.",
		"X.4.3":  "The recipient's mail server could not be looked up.",
		"X.4.4":  "No way to the recipient's mail server is known. Check the part of the address after the @.",
		"X.4.6":  "The message went in circles between mail servers. Their administrators must mend their configuration.",
		"4.4.7":  "Delivery was tried until the time for it was over. Send the message again later, or reach the recipient another way.",
		"X.4.7":  "Delivery was tried until the time for it was over. Send the message again later, or reach the recipient another way.",
		"X.4.8":  "The message would have come back to where it was. The administrator must mend the configuration.",
		"X.4":    "The recipient's mail server could not be reached.",
		"X.5.2":  "The two mail servers did not understand each other. If it happens again, tell the administrator.",
		"X.5.3":  "The message has more recipients than are allowed. Send it to fewer at a time.",
		"X.5":    "The two mail servers did not understand each other.",
		"X.6":    "The content of the message cannot be handled there.",
		"X.7.1":  "The mail system there does not permit this message. The recipient's administrator can say why.",
		"X.7":    "The message was refused for reasons of security or permission.",
		"5":      "The message was refused for good; sending it again unchanged will not help.",
		"4":      "The problem may pass; sending it again later may help.",
	},
	RemoteSaid: "The mail server %s said:",
	Reason:     "Reason: %s",
	RetryUntil: "Delivery will be tried until %s.",
	Closing:    "This report was written by the mail system at %s.",
}

// English returns the default texts, for changing some of them.
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

// explain is what the texts say about a status code.
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

// human writes the part for people, lines ending in LF.
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

// clean makes a stranger's words fit for one line of text.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == 0xfffd {
			return ' '
		}
		return c
	}, s)
}

// cleanLines does the same for a text, whose lines end in LF.
func cleanLines(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) && c != '\n' && c != '\t' {
			return ' '
		}
		return c
	}, strings.ReplaceAll(s, "\r\n", "\n"))
}
