"""A synthetic flora: invented plants, modelled in three dimensions and photographed in changing light.

``species`` says which plants there are, ``plant`` builds one of them out of surfaces, ``raster`` and ``photograph``
take its picture, and ``draw`` is the stage that does so for a whole dataset.
"""
