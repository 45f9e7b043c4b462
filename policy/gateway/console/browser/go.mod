module github.com/bridgehead-mail/bridgehead/policy/gateway/console/browser

go 1.25.0

require (
	github.com/bridgehead-mail/bridgehead v0.1.0
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
)

require github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect

replace github.com/bridgehead-mail/bridgehead => ../../../..
