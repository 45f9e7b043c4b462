// Package antispam has the settings of the filters for mail from the internet that the
// reference gateways share: spam and virus scanners, milters, attachments, transport
// rules, a disclaimer, greylisting, limits, reputation and a tarpit. The filters are those
// of the library; this package checks their settings and adds them to a gate.
//
//	func (e *edge) Define(f *flag.FlagSet) { e.filters.Define(f, "filters.") }
//
//	func (e *edge) Build(k *program.Kit) program.Rules {
//		var r program.Rules
//		e.filters.Add(k, &internet, &r)
//		e.filters.AddRules(k, &organization)
//		k.Install("listen", &internet, srv)
//		...
//	}
//
// # Settings
//
// All filters are off by default. With the prefix "filters.", a configuration file may
// have these settings:
//
//	# Scanners: an address with a port, or the path of a Unix socket. rspamd is asked as a
//	# milter: its proxy worker must have milter = yes. What it refuses, its own
//	# configuration says.
//	filters.scan.rspamd: 127.0.0.1:11332
//	filters.scan.spamassassin: 127.0.0.1:783
//	filters.scan.clamd: /run/clamav/clamd.ctl
//	# Mail while a scanner fails: defer (the sender tries again later), or accept.
//	filters.scan.spam-down: accept
//	filters.scan.virus-down: defer
//	# Messages that are too large to be scanned. Larger ones than virus-max-size are
//	# refused or accepted; clamd's StreamMaxLength must be at least as large. Larger
//	# ones than spam-max-size pass without a level.
//	filters.scan.virus-max-size: 25M
//	filters.scan.virus-oversize: refuse
//	filters.scan.spam-max-size: 500K
//	# Spam confidence levels, from 1 to 9. Mail with SpamAssassin's required_score has
//	# level 5, with 1.8 times this score level 9. The field
//	# X-MS-Exchange-Organization-SCL has the level of each message.
//	filters.scan.mark-level: 5
//	filters.scan.mark-subject: "[SPAM] "
//	filters.scan.quarantine-level: 7
//	filters.scan.reject-level: 9
//	filters.quarantine: quarantine@example.com   # also for rspamd and milters
//
//	# Milters, in their order. With the word accept, mail passes while one fails.
//	filters.milters: [/run/opendkim/opendkim.sock, 127.0.0.1:8892 accept]
//
//	# Attachments by name, also in zip, tar and gzip archives, or by media type:
//	# refuse the message, or strip the attachment.
//	filters.attachments.names: ["*.exe", "*.scr", "*.js", "*.vbs", "*.iso"]
//	filters.attachments.types: [application/x-msdownload]
//	filters.attachments.action: refuse
//	filters.attachments.unreadable: refuse        # attachments that cannot be checked
//
//	# Transport rules, for mail in both directions. The file is described below.
//	filters.rules: /etc/edge/rules
//	# A text at the end of messages from these senders or to these recipients. If both
//	# are set, both must match.
//	filters.disclaimer.text: /etc/edge/disclaimer.txt
//	filters.disclaimer.html: /etc/edge/disclaimer.html   # default: made of the text
//	filters.disclaimer.from: [example.com]
//	filters.disclaimer.to: []
//
//	# Greylisting: the first mail of a network, sender and recipient is deferred.
//	filters.greylist.delay: 5m
//	filters.greylist.window: 48h                  # within which the client must retry
//	filters.greylist.known-after: 5               # then the network is not delayed
//	# Limits: address, network, sender or sender-domain; messages or recipients.
//	filters.rates: [address 100 messages 1h, sender 500 recipients 24h]
//	# Clients with a bad reputation are refused for a time. The health page names them.
//	filters.reputation.block-level: 7
//	filters.reputation.block-time: 24h
//	filters.reputation.min-points: 20
//	# Each refusal of a session is answered later than the one before.
//	filters.tarpit.delay: 5s
//	filters.tarpit.max: 30s
//	# Clients that are not checked for spam, greylisted, limited or delayed.
//	filters.exempt: [192.0.2.0/24]
//	# The greylist and the reputation are saved here. Restart to change.
//	filters.state: filters
//
// # Transport rules
//
// The file of the setting rules is text in UTF-8. Each rule begins with its name. It
// applies if all of its lines with if are met and none with unless. A word with spaces is
// in double quotes, in which \n is a new line and \" a quote. A line that begins with #
// is a comment.
//
//	rule no payments by mail
//	  if subject invoice "payment order"
//	  if attachment *.zip
//	  unless from partner.example *.example.com
//	  then redirect accounts@example.com
//	  stop
//
//	rule external mail
//	  if not from example.com
//	  then subject "[EXTERNAL] "
//
// Conditions: from and to with addresses, domains, *.domains or <> (the null
// reverse-path), subject and body with words or phrases, attachment with patterns for
// names, header NAME EXPRESSION (a regular expression), larger-than SIZE, level LEVEL (at
// least this spam confidence level), client with networks, authenticated. If a condition
// has several words, one of them must match. The word not before a condition negates it.
//
// Actions: disclaimer TEXT or disclaimer TEXT HTML, subject PREFIX, set-header NAME VALUE,
// remove-header NAME, set-level LEVEL, redirect and copy with addresses, refuse TEXT (with
// 550 5.7.1), discard. Discard and redirect apply to the recipients that meet the
// conditions, all other actions to the message.
//
// The line stop skips the rules after this one if this one applies. The line disabled
// disables the rule.
//
// # Reload
//
// A reload changes all settings except state. The greylist, the reputation and the
// counts of the limits are the same before and after it. If their own settings have
// changed, the greylist and the reputation keep what they know, and the limits begin to
// count again.
package antispam
