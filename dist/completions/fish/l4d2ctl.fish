complete --keep-order --exclusive --command l4d2ctl --arguments "(LEFT4ME_COMPLETE=fish l4d2ctl -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
