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
// All filters are off by default. In a file in YAML, with the prefix "filters.", the
// settings are:
//
//	filters:
//	  scan:
//	    # Scanners: an address with a port, or the path of a Unix socket. rspamd is asked
//	    # as a milter: its proxy worker must have milter = yes. Its own configuration
//	    # says what is refused.
//	    rspamd: 127.0.0.1:11332
//	    spamassassin: 127.0.0.1:783
//	    clamd: /run/clamav/clamd.ctl
//	    # Mail while a scanner fails: defer (the sender tries again later) or accept.
//	    spam-down: accept
//	    virus-down: defer
//	    # A scanner has failed if it does not answer within this time, from 1s to 9m.
//	    spam-timeout: 90s # default: 5m for rspamd, 2m for spamd
//	    virus-timeout: 2m
//	    # Messages of more than virus-max-size are not scanned for viruses, but refused
//	    # or accepted. clamd's StreamMaxLength must be at least as large, and max-size of
//	    # the gateway should not be larger. Messages of more than spam-max-size are
//	    # accepted without a level.
//	    virus-max-size: 25M
//	    virus-oversize: refuse # or accept
//	    spam-max-size: 500K
//	    # Scan the mail of the organization for viruses too. Default: false.
//	    virus-outgoing: true
//	    # Spam confidence levels, from 1 to 9. A message with SpamAssassin's
//	    # required_score has level 5, with 1.8 times this score level 9. The field
//	    # X-MS-Exchange-Organization-SCL has the level of each message.
//	    mark-level: 5
//	    mark-subject: "[SPAM] "
//	    quarantine-level: 7
//	    reject-level: 9
//	  # The address that gets mail in quarantine, also that of rspamd and milters.
//	  quarantine: quarantine@example.com
//
//	  # Milters, in their order. Mail while one fails: defer (the default) or accept. A
//	  # milter fails if it does not answer within its timeout; default 5m.
//	  milters:
//	    - address: /run/opendkim/opendkim.sock
//	    - address: 127.0.0.1:8892
//	      down: accept
//	      timeout: 90s
//
//	  # Attachments by name or media type, also in zip, tar and gzip archives. The
//	  # message is refused, or the attachment is stripped. Unreadable attachments, such
//	  # as damaged archives, are refused or accepted.
//	  attachments:
//	    names: ["*.exe", "*.scr", "*.js", "*.vbs", "*.iso"]
//	    types: [application/x-msdownload]
//	    action: refuse # or strip
//	    unreadable: refuse # or accept
//	    outgoing: true # check the mail of the organization too; default: false
//
//	  # File with transport rules, for mail in both directions.
//	  rules: /etc/edge/rules
//	  # A text at the end of messages from these senders or to these recipients, in both
//	  # directions. If from and to are set, both must match.
//	  disclaimer:
//	    text: /etc/edge/disclaimer.txt
//	    html: /etc/edge/disclaimer.html # default: made of the text
//	    from: [example.com]
//	    to: []
//
//	  # Greylist: the first mail of a client network, sender and recipient is deferred
//	  # for this time. The client must retry within the window. After known-after
//	  # different senders and recipients, the network is not delayed.
//	  greylist:
//	    delay: 5m
//	    window: 48h
//	    known-after: 5
//	  # Limits by address, network, sender or sender-domain.
//	  rates:
//	    - by: address
//	      messages: 100
//	      per: 1h
//	    - by: sender
//	      recipients: 500
//	      per: 24h
//	  # Clients that behave as spammers are refused from this level, 1 to 9, for this
//	  # time. /readyz and the console name them.
//	  reputation:
//	    block-level: 7
//	    block-time: 24h
//	    min-points: 20
//	  # The delay of the reply grows by this time with each refusal in a session.
//	  tarpit:
//	    delay: 5s
//	    max: 30s
//	  # Clients whose mail is not scanned for spam, greylisted, limited or delayed.
//	  exempt: [192.0.2.0/24]
//	  # Folder where the greylist and the reputation are saved. Default: filters in the
//	  # folder of the queue. Restart to change.
//	  state: filters
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
// A level that a rule sets has the same effect as that of a scanner. It has no effect on
// mail of the organization, which is not filtered for spam.
//
// The line stop skips the rules after this one if this one applies. The line disabled
// disables the rule.
//
// # Reload
//
// A reload changes all settings except state. The greylist, the reputation and the
// counts of the limits are the same before and after it. If their own settings have
// changed, the greylist and the reputation keep what they know, and the limits begin to
// count again. What they know is saved every 5 minutes and when the gateway ends.
package antispam
